import { createFakeClock, createSeededRandom, silentLogger, type FakeClock } from "@coracle/base";
import { createMemoryStore, prefixEnd, type Store } from "@coracle/etcd";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ApiDraft } from "../registry/resource-definition.ts";
import { LeasePool } from "./lease-pool.ts";
import type { StoredObject } from "./object-storage.ts";
import { ResourceStorage } from "./resource-storage.ts";
import { StorageHub } from "./storage-hub.ts";

const prefix = "/registry/things";
let clock: FakeClock;
let store: Store;
let hub: StorageHub;
let storage: ResourceStorage;

beforeEach(async () => {
  clock = createFakeClock();
  store = createMemoryStore({ clock });
  hub = new StorageHub({ store, clock, logger: silentLogger });
  const indexes = {
    color: (object: { readonly [name: string]: unknown }) => (object.color as string | undefined) ?? "",
  };
  await hub.start([{ prefix, indexes }]);
  const cache = hub.cache(prefix);
  if (cache === undefined) throw new Error("no cache");
  storage = new ResourceStorage({
    hub,
    cache,
    leases: new LeasePool(store, clock),
    resource: { group: "", resource: "things" },
  });
});
afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

const thing = (namespace: string, name: string, more: object = {}): ApiDraft => ({
  kind: "Thing",
  apiVersion: "v1",
  metadata: { name, namespace },
  ...more,
});
const names = (items: readonly StoredObject[]): string[] => items.map((item) => `${item.namespace}/${item.name}`);

describe("a list of an earlier state", () => {
  it("expires with the store's compaction, though nothing has changed since", async () => {
    const { revision } = await storage.create(thing("a", "x"));
    await store.txn({ compare: [], success: [{ type: "put", key: "/other", value: Buffer.from("1") }], failure: [] });
    expect(names((await storage.list({ revision })).items)).toEqual(["a/x"]);
    await store.compact(revision + 1);
    await expect(storage.list({ revision })).rejects.toMatchObject({ code: 410 });
  });
});

describe("a stored object", () => {
  it("has the bytes that its object has", async () => {
    const stored = await storage.create(thing("a", "x", { text: 'quoted "metadata":{ and ünïcode' }));
    expect(JSON.parse(stored.json.toString())).toEqual(stored.object);
    expect(stored.json).toBe(stored.json);
    expect(Object.isFrozen(stored.object.metadata)).toBe(true);
    const { kvs } = await store.range({ key: stored.key });
    expect(kvs[0]?.value.includes("resourceVersion")).toBe(false);
  });

  it("is seen as soon as its write is acknowledged", async () => {
    const stored = await storage.create(thing("a", "x"));
    expect(storage.get("a", "x")).toBe(stored);
    const next = await storage.replace(stored, thing("a", "x", { v: 2 }));
    expect(storage.get("a", "x")).toBe(next);
    expect(await storage.replace(stored, thing("a", "x", { v: 3 }))).toBeUndefined();
    expect(stored.object).toMatchObject({ metadata: { resourceVersion: String(stored.revision) } });
  });

  it("is told a last time with the deletion's version", async () => {
    const stored = await storage.create(thing("a", "x"));
    const last: StoredObject[] = [];
    using _watch = storage.watch(
      { since: storage.revision },
      { event: (_type, { current }) => last.push(current), initialDone: () => {}, closed: () => {} },
    );
    const removed = await storage.remove(stored);
    expect(removed?.object).toMatchObject({ metadata: { name: "x", resourceVersion: String(storage.revision) } });
    expect(last[0]?.object).toEqual(removed?.object);
    expect(JSON.parse(last[0]?.json.toString() ?? "")).toEqual(removed?.object);
    expect(await storage.remove(stored)).toBeUndefined();
  });

  it("is read when another writer put it, in whatever order of members", async () => {
    const value = Buffer.from('{"metadata":{"name":"x","namespace":"a"},"kind":"Thing","apiVersion":"v1"}');
    await store.txn({ compare: [], success: [{ type: "put", key: `${prefix}/a/x`, value }] });
    const stored = storage.get("a", "x");
    expect(JSON.parse(stored?.json.toString() ?? "")).toEqual(stored?.object);
    expect(stored?.object.metadata.resourceVersion).toBe("2");
  });

  it("that cannot be read is left out", async () => {
    await store.txn({ compare: [], success: [{ type: "put", key: `${prefix}/a/bad`, value: Buffer.from("{") }] });
    await storage.create(thing("a", "good"));
    expect(names((await storage.list({})).items)).toEqual(["a/good"]);
  });
});

describe("the cache", () => {
  it("lists every past state as the store knows it", async () => {
    const random = createSeededRandom(7);
    const pick = (limit: number): number => Math.floor(random.next() * limit);
    const revisions: number[] = [];
    for (let i = 0; i < 400; i++) {
      const [namespace, name] = [`n${pick(3)}`, `x${pick(12)}`];
      const existing = storage.get(namespace, name);
      if (existing === undefined) await storage.create(thing(namespace, name, { i }));
      else if (pick(3) === 0) await storage.remove(existing);
      else await storage.replace(existing, thing(namespace, name, { i }));
      revisions.push(storage.revision);
      if (pick(20) === 0) await clock.advance(20_000);
      const revision = revisions[Math.max(0, revisions.length - 1 - pick(300))] as number;
      const scope = pick(2) === 0 ? undefined : `n${pick(3)}`;
      const listed = await storage.list({ namespace: scope, revision });
      const key = scope === undefined ? `${prefix}/` : `${prefix}/${scope}/`;
      const range = await store.range({ key, end: prefixEnd(key), revision });
      expect(listed.items.map((item) => [item.key, item.revision])).toEqual(
        range.kvs.map((kv) => [kv.key, kv.modRevision]),
      );
    }
  });

  it("pages through a state without a gap or a repeat", async () => {
    for (let i = 0; i < 25; i++) await storage.create(thing(`n${i % 3}`, `x${i}`));
    const { revision } = storage;
    const all = names((await storage.list({})).items);
    const seen: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await storage.list({ limit: 4, after, revision });
      seen.push(...names(page.items));
      await storage.create(thing("n1", `y${seen.length}`));
      after = page.lastKey;
      if (after === undefined) break;
    }
    expect(seen).toEqual(all);
  });

  it("finds by label what a scan would find, however objects come, change and go", async () => {
    const random = createSeededRandom(7);
    const some = (below: number): number => Math.floor(random.next() * below);
    const labelled = (name: string): ApiDraft => {
      const labels = some(5) === 0 ? {} : { labels: { shard: String(some(12)) } };
      return { ...thing(`n${some(2)}`, name), metadata: { name, namespace: `n${name.length % 2}`, ...labels } };
    };
    const check = async (): Promise<void> => {
      for (const value of ["0", "5", "none"]) {
        const predicate = ({ metadata }: { readonly metadata: { readonly labels?: unknown } }): boolean =>
          (metadata.labels as Record<string, string> | undefined)?.["shard"] === value;
        const label = { key: "shard", value };
        for (const scope of [{}, { namespace: "n0" }, { limit: 7 }, { namespace: "n1", limit: 1 }]) {
          const scanned = await storage.list({ ...scope, predicate });
          const found = await storage.list({ ...scope, predicate, label });
          expect(found).toEqual(scanned);
        }
      }
    };
    for (let i = 0; i < 400; i++) await storage.create(labelled(`x${i}`));
    await check();
    for (let i = 0; i < 300; i++) {
      const name = `x${some(420)}`;
      const known = storage.get(`n${name.length % 2}`, name);
      if (known === undefined) await storage.create(labelled(name));
      else if (some(3) === 0) await storage.remove(known);
      else await storage.replace(known, labelled(name));
      if (i % 60 === 0) await check();
    }
    await check();
  });

  it("finds by index what a scan would find", async () => {
    for (let i = 0; i < 20; i++) await storage.create(thing("a", `x${i}`, { color: i % 2 === 0 ? "red" : "blue" }));
    const red = { name: "color", value: "red" };
    expect((await storage.list({ index: red })).items).toHaveLength(10);
    const first = storage.get("a", "x0") as StoredObject;
    await storage.replace(first, thing("a", "x0", { color: "blue" }));
    await storage.remove(storage.get("a", "x2") as StoredObject);
    expect((await storage.list({ index: red })).items).toHaveLength(8);
    expect((await storage.list({ index: red, limit: 3 })).items).toHaveLength(3);
  });

  it("shows the same changes to every watch, whatever it looks at", async () => {
    const seen: Record<string, string[]> = { all: [], namespace: [], name: [], index: [], predicate: [] };
    const watch = (kind: string, request: object): Disposable =>
      storage.watch(
        { ...request, since: storage.revision },
        {
          event: (type, { current }) => seen[kind]?.push(`${type} ${current.name}`),
          initialDone: () => {},
          closed: () => {},
        },
      );
    const watches = [
      watch("all", {}),
      watch("namespace", { namespace: "a" }),
      watch("name", { namespace: "a", name: "x" }),
      watch("index", { index: { name: "color", value: "red" } }),
      watch("predicate", { predicate: (object: { readonly [name: string]: unknown }) => object.color === "red" }),
    ];
    const created = await storage.create(thing("a", "x", { color: "red" }));
    await storage.create(thing("b", "y", { color: "blue" }));
    const changed = await storage.replace(created, thing("a", "x", { color: "blue" }));
    await storage.remove(changed as StoredObject);
    expect(seen).toEqual({
      all: ["ADDED x", "ADDED y", "MODIFIED x", "DELETED x"],
      namespace: ["ADDED x", "MODIFIED x", "DELETED x"],
      name: ["ADDED x", "MODIFIED x", "DELETED x"],
      index: ["ADDED x", "DELETED x"],
      predicate: ["ADDED x", "DELETED x"],
    });
    for (const each of watches) each[Symbol.dispose]();
    expect(hub.cache(prefix)?.watcherCount).toBe(0);
  });

  it("goes on when a watcher throws", async () => {
    const seen: string[] = [];
    const ended: string[] = [];
    const initialDone = (): void => {};
    const event = (): void => {
      throw new Error("broken");
    };
    storage.watch({}, { event, initialDone, closed: (reason) => ended.push(reason) });
    storage.watch({}, { event: (type) => seen.push(type), initialDone, closed: () => {} });
    await storage.create(thing("a", "x"));
    await storage.create(thing("a", "y"));
    expect([seen, ended]).toEqual([["ADDED", "ADDED"], ["expired"]]);
  });

  it("takes up a resource that is added later", async () => {
    const value = Buffer.from('{"kind":"W","apiVersion":"e/v1","metadata":{"name":"w"}}');
    await store.txn({ compare: [], success: [{ type: "put", key: "/registry/e/ws/w", value }] });
    const cache = await hub.add({ prefix: "/registry/e/ws" });
    expect(cache.get("", "w")?.name).toBe("w");
    await store.txn({ compare: [], success: [{ type: "delete", key: "/registry/e/ws/w" }] });
    expect(cache.get("", "w")).toBeUndefined();
  });

  it("ends its watches with the storage", async () => {
    const ended: string[] = [];
    storage.watch({}, { event: () => {}, initialDone: () => {}, closed: (reason) => ended.push(reason) });
    await hub[Symbol.asyncDispose]();
    expect(ended).toEqual(["shutdown"]);
  });
});
