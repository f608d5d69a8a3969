import { sleep, systemClock } from "@coracle/base";
import { createRemoteStore, type Store } from "../../src/index.ts";
import { leaderOf, makeClusterTls, Member } from "../members.ts";
import type { Outcome, Scenario, Setting } from "./scenario.ts";
import { Switch, type Host } from "./switch.ts";
import { Workload } from "./workload.ts";

interface Cluster {
  readonly net: Switch;
  readonly members: readonly Member[];
  readonly random: Setting["random"];
}

/** Leaders of a real etcd of three members are killed and started again, others stopped for a while. */
export const lostLeaders: Scenario = (setting) =>
  onCluster(setting, async ({ members, random }) => {
    const leader = await leaderOf(members);
    await leader.kill();
    await leaderOf(members.filter((member) => member !== leader));
    await sleep(systemClock, 200 + random.next() * 400);
    leader.start();
    const slow = members[Math.floor(random.next() * members.length)] as Member;
    await leaderOf(members);
    slow.signal("SIGSTOP");
    await sleep(systemClock, 300 + random.next() * 700);
    slow.signal("SIGCONT");
  });

/**
 * The net between the members of a real etcd comes apart in one of four ways: the leader alone among the members, but not for clients; the
 * leader alone for all; a follower alone among the members; two that hear of each other only through the third.
 */
export const partitions: Scenario = (setting) =>
  onCluster(setting, async ({ net, members, random }) => {
    const leader = members.indexOf(await leaderOf(members));
    const at = (offset: number): Host => net.hosts[(leader + offset) % members.length] as Host;
    const ways = [
      () => Promise.all([net.cut(at(0), at(1)), net.cut(at(0), at(2))]),
      () => net.unplug(at(0)),
      () => Promise.all([net.cut(at(1), at(0)), net.cut(at(1), at(2))]),
      () => net.cut(at(0), at(1)),
    ];
    await ways[Math.floor(random.next() * ways.length)]?.();
    await sleep(systemClock, 1_500 + random.next() * 1_500);
    await net.heal();
  });

/** Clients and watchers of every member, while `disturb` does its work in each round. */
async function onCluster(setting: Setting, disturb: (cluster: Cluster) => Promise<void>): Promise<Outcome> {
  const { rounds, random, dir } = setting;
  await using net = await Switch.create(3);
  const tls = makeClusterTls(
    dir,
    net.hosts.map(({ address }) => address),
  );
  const cluster = net.hosts.map(({ address }, at) => `m${at}=https://${address}:2380`).join(",");
  const members = net.hosts.map(
    ({ address, within }, at) =>
      new Member({
        name: `m${at}`,
        dir,
        tls,
        clientUrl: `https://${address}:2379`,
        peerUrl: `https://${address}:2380`,
        cluster,
        within,
      }),
  );
  for (const member of members) member.start();
  const urls = members.map(({ url }) => url);
  // Each begins at another member, so that one is always on the wrong side.
  const stores: readonly Store[] = urls.map((_, at) =>
    createRemoteStore({
      endpoints: [...urls.slice(at), ...urls.slice(0, at)],
      tls: tls.client,
      clock: systemClock,
      random,
    }),
  );
  try {
    await leaderOf(members);
    const workload = new Workload(stores, random);
    await workload.begin(6);
    for (let round = 0; round < rounds; round++) {
      await sleep(systemClock, 300);
      await disturb({ net, members, random });
      await leaderOf(members);
      const before = workload.acknowledged;
      while (workload.acknowledged < before + 20) await sleep(systemClock, 20);
    }
    await workload.end();
    return { checked: workload.acknowledged, faults: workload.faults() };
  } finally {
    for (const store of stores) await store[Symbol.asyncDispose]();
    for (const member of members) await member.kill();
  }
}
