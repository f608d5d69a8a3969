import { once } from "node:events";
import { sleep, systemClock } from "@coracle/base";
import { Etcd3, isRecoverableError } from "etcd3";
import { describe, expect, it } from "vitest";
import { hasEtcd, startOurs, startReal, type RunningEtcd } from "./running-etcd.ts";

const clientOf = ({ endpoint }: RunningEtcd, auth?: { username: string; password: string }): Etcd3 =>
  new Etcd3({ hosts: `http://${endpoint}`, ...(auth === undefined ? {} : { auth }) });

/** Polls: the client tells most of its changes by events that may have come before anybody listens. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop
  while (!(await holds())) await sleep(systemClock, 10);
}

const SERVERS = [
  { name: "our server", start: startOurs, isHere: true },
  { name: "etcd", start: startReal, isHere: hasEtcd },
] as const;

describe.each(SERVERS.filter(({ isHere }) => isHere))(
  "the npm client etcd3 on $name",
  { timeout: 60_000 },
  ({ start }) => {
    /** Runs `story` with a server and a client of its own. */
    const on = async (story: (client: Etcd3, server: RunningEtcd) => Promise<void>): Promise<void> => {
      await using server = await start();
      const client = clientOf(server);
      try {
        await story(client, server);
      } finally {
        client.close();
      }
    };

    it("puts, gets, sorts, counts and deletes", () =>
      on(async (client) => {
        await client.put("k/a").value("2");
        await client.put("k/b").value("1");
        expect(await client.get("k/a").string()).toBe("2");
        expect(await client.get("k/a").number()).toBe(2);
        expect(await client.get("nothing").string()).toBeNull();
        expect(await client.get("k/a").exists()).toBe(true);
        expect(await client.getAll().prefix("k/").strings()).toEqual({ "k/a": "2", "k/b": "1" });
        expect(await client.getAll().prefix("k/").sort("Value", "Ascend").keys()).toEqual(["k/b", "k/a"]);
        expect(await client.getAll().prefix("k/").limit(1).keys()).toEqual(["k/a"]);
        expect(await client.getAll().prefix("k/").count()).toBe(2);
        const { header } = await client.getAll().exec();
        await client.put("k/a").value("3");
        expect(await client.get("k/a").revision(header.revision).string()).toBe("2");
        expect(await client.put("k/a").value("4").getPrevious()).toMatchObject({ value: Buffer.from("3") });
        expect(await client.delete().prefix("k/").exec()).toMatchObject({ deleted: "2" });
      }));

    it("keeps the parts of a namespace together", () =>
      on(async (client) => {
        const users = client.namespace("users/");
        await users.put("ada").value("1");
        await client.put("ada").value("other");
        expect(await client.get("users/ada").string()).toBe("1");
        expect(await users.getAll().strings()).toEqual({ ada: "1" });
        await users.delete().all();
        expect(await client.getAll().strings()).toEqual({ ada: "other" });
      }));

    it("writes under conditions, and in transactions that read first", () =>
      on(async (client) => {
        const claim = (who: string): Promise<boolean> =>
          client
            .if("owner", "Create", "==", 0)
            .then(client.put("owner").value(who))
            .else(client.get("owner"))
            .commit()
            .then(({ succeeded }) => succeeded);
        expect([await claim("ada"), await claim("bob")]).toEqual([true, false]);
        await client.put("count").value(0);
        const add = (): Promise<unknown> =>
          client.stm({ retries: 50 }).transact(async (tx) => {
            await tx.put("count").value(1 + ((await tx.get("count").number()) ?? 0));
          });
        await Promise.all([add(), add(), add()]);
        expect(await client.get("count").number()).toBe(3);
      }));

    it("watches a key and a prefix, from now and from a revision", () =>
      on(async (client, server) => {
        const seen: string[] = [];
        const watcher = await client.watch().prefix("w/").withPreviousKV().create();
        watcher.on("put", (kv, previous) =>
          seen.push(`${String(kv.key)}=${String(kv.value)} was ${String(previous?.value ?? "-")}`),
        );
        watcher.on("delete", (kv) => seen.push(`${String(kv.key)} gone`));
        const { header } = await client.put("w/a").value("1");
        await client.put("w/a").value("2");
        await client.put("other").value("1");
        await client.delete().key("w/a");
        await until(() => seen.length === 3);
        expect(seen).toEqual(["w/a=1 was -", "w/a=2 was 1", "w/a gone"]);
        const other = clientOf(server);
        const late = other.watch().key("w/a").startRevision(header.revision).watcher();
        const again: string[] = [];
        late.on("put", (kv) => again.push(kv.value.toString()));
        await until(() => again.length === 2);
        expect(again).toEqual(["1", "2"]);
        await Promise.all([watcher.cancel(), late.cancel()]);
        other.close();
      }));

    it("leases: keys live as long as somebody keeps them alive", () =>
      on(async (client) => {
        const lease = client.lease(30);
        await lease.put("leased").value("1");
        const { ID } = await lease.keepaliveOnce();
        expect(ID).toBe(await lease.grant());
        expect((await client.leaseClient.leaseTimeToLive({ ID, keys: true })).keys).toEqual([Buffer.from("leased")]);
        await lease.revoke();
        expect(await client.get("leased").string()).toBeNull();
        const short = client.lease(1, { autoKeepAlive: false });
        await short.put("short").value("1");
        await until(async () => !(await client.get("short").exists()));
      }));

    it("locks: one holder at a time", () =>
      on(async (client) => {
        const lock = await client.lock("door").acquire();
        await expect(client.lock("door").acquire()).rejects.toThrow(/Failed to acquire a lock/);
        await lock.release();
        expect(await client.lock("door").do(() => Promise.resolve("inside"))).toBe("inside");
      }));

    it("elects: the next one leads when the first resigns", () =>
      on(async (client) => {
        const election = client.election("captain", 30);
        const first = await election.campaign("first").wait();
        const second = election.campaign("second");
        const elected = once(second, "elected");
        expect(await election.leader()).toBe("first");
        await first.proclaim("still the first");
        const observer = await election.observe();
        expect(observer.leader()).toBe("still the first");
        await first.resign();
        await elected;
        await until(() => observer.leader() === "second");
        await observer.cancel();
        await second.resign();
      }));

    it("users see what their role lets them see", () =>
      on(async (client, server) => {
        await client.put("open/a").value("1");
        await client.put("closed/a").value("1");
        const everything = await client.role("root").create();
        await client.user("root").create("secret");
        await client.user("root").addRole(everything);
        const role = await client.role("reader").create();
        await role.grant({ permission: "Read", range: client.range({ prefix: "open/" }) });
        expect(await role.permissions()).toHaveLength(1);
        const ada = await client.user("ada").create("pass");
        await ada.addRole(role);
        expect((await ada.roles()).map(({ name }) => name)).toEqual(["reader"]);
        await client.auth.authEnable();
        const asAda = clientOf(server, { username: "ada", password: "pass" });
        const asRoot = clientOf(server, { username: "root", password: "secret" });
        const asNobody = clientOf(server, { username: "ada", password: "wrong" });
        try {
          expect(await asAda.get("open/a").string()).toBe("1");
          await expect(asAda.get("closed/a").string()).rejects.toThrow(/permission denied/);
          await expect(asAda.put("open/a").value("2")).rejects.toThrow(/permission denied/);
          await expect(asNobody.get("open/a").string()).rejects.toThrow(/authentication failed/);
          expect(await asRoot.get("closed/a").string()).toBe("1");
          await asRoot.auth.authDisable();
          expect(await client.get("closed/a").string()).toBe("1");
        } finally {
          for (const each of [asAda, asRoot, asNobody]) each.close();
        }
      }));

    it("says what is wrong in the client's own terms", () =>
      on(async (client) => {
        await client.put("past").value("1");
        const { header } = await client.put("past").value("2");
        await client.kv.compact({ revision: header.revision });
        const failure = await client
          .get("past")
          .revision(2)
          .string()
          .catch((error: unknown) => error as Error);
        expect(failure).toMatchObject({ message: expect.stringContaining("required revision has been compacted") });
        expect(isRecoverableError(failure as Error)).toBe(false);
      }));
  },
);
