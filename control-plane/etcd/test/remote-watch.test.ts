import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { sleep, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createRemoteStore, type StoreError, type StoreEvent } from "../src/index.ts";
import { freePort, hasEtcd, hasEtcdctl, startOurs, startReal, type RunningEtcd } from "./running-etcd.ts";

/** A way to a server that can be cut: all connections over it end. */
async function startCable(endpoint: string): Promise<AsyncDisposable & { readonly url: string; cut(): void }> {
  const [host = "", port = ""] = endpoint.split(":");
  const ends = new Set<Socket>();
  const cable = createServer((near) => {
    const far = connect(Number(port), host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(from);
      from.on("error", () => {}).pipe(to);
      from.once("close", () => {
        ends.delete(from);
        to.destroy();
      });
    }
  }).listen(0, "127.0.0.1");
  await once(cable, "listening");
  const cut = (): void => ends.forEach((end) => end.destroy());
  return {
    url: `http://127.0.0.1:${(cable.address() as AddressInfo).port}`,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      cable.close();
      await once(cable, "close");
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(systemClock, 20);
}

describe.skipIf(!hasEtcdctl)("a watch on a cluster", () => {
  it.each<readonly [string, () => Promise<RunningEtcd>]>([
    ["our server", startOurs],
    ...(hasEtcd ? [["etcd", startReal] as const] : []),
  ])(
    "goes on, complete, when it was refused for a while because users count on %s now",
    { timeout: 60_000 },
    async (_, start) => {
      await using server = await start();
      await using cable = await startCable(server.endpoint);
      await using store = createRemoteStore({ endpoints: [cable.url], clock: systemClock });
      const seen: string[] = [];
      let end: StoreError | undefined;
      await store.watch(
        { key: "k/", end: "k0" },
        {
          events: (events: readonly StoreEvent[]) =>
            void seen.push(...events.map((event) => (event.type === "put" ? event.kv.key : event.key))),
          closed: (reason) => {
            end = reason;
          },
        },
      );
      await server.etcdctl("put", "k/a", "1");
      await until(() => seen.length === 1);
      await server.etcdctl("user", "add", "root:secret");
      await server.etcdctl("user", "grant-role", "root", "root");
      await server.etcdctl("auth", "enable");
      cable.cut();
      await server.etcdctl("put", "k/b", "1", "--user=root:secret");
      // Refused again and again meanwhile.
      await sleep(systemClock, 500);
      expect([seen, end]).toEqual([["k/a"], undefined]);
      await server.etcdctl("auth", "disable", "--user=root:secret");
      await server.etcdctl("put", "k/c", "1");
      await until(() => seen.length >= 3);
      expect([seen, end]).toEqual([["k/a", "k/b", "k/c"], undefined]);
    },
  );

  it("that is refused from the beginning fails at once, with the reason", async () => {
    await using server = await startOurs();
    await server.etcdctl("user", "add", "root:secret");
    await server.etcdctl("user", "grant-role", "root", "root");
    await server.etcdctl("auth", "enable");
    await using store = createRemoteStore({ endpoints: [`http://${server.endpoint}`], clock: systemClock });
    const sink = { events: () => {}, closed: () => {} };
    await expect(store.watch({ key: "k" }, sink)).rejects.toThrow("user name is empty");
  });

  it("begins at another member when the first is not there", async () => {
    await using server = await startOurs();
    const gone = `http://127.0.0.1:${await freePort()}`;
    await using store = createRemoteStore({ endpoints: [gone, `http://${server.endpoint}`], clock: systemClock });
    const seen: number[] = [];
    await store.watch({ key: "k" }, { events: (_, revision) => void seen.push(revision), closed: () => {} });
    await server.etcdctl("put", "k", "1");
    await until(() => seen.length === 1);
  });
});
