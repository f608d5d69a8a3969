import { createFakeClock, silentLogger } from "@coracle/base";
import { CompactedError, createMemoryStore, type Op, type Store, type WatchSink } from "@coracle/etcd";
import { describe, expect, it } from "vitest";
import { StorageHub } from "./storage-hub.ts";

const OBJECTS = 10_050;

describe("the state at the start", () => {
  it("is all there, however much it is, and so are caches of which there is nothing", async () => {
    const clock = createFakeClock();
    await using store = createMemoryStore({ clock });
    const success: Op[] = Array.from({ length: OBJECTS }, (_, i) => {
      const value = JSON.stringify({ kind: "Thing", apiVersion: "v1", metadata: { name: `x${i}`, namespace: "a" } });
      return { type: "put", key: `/registry/things/a/x${i}`, value: Buffer.from(value) };
    });
    // A transaction takes 128 operations.
    for (let i = 0; i < OBJECTS; i += 100) await store.txn({ compare: [], success: success.slice(i, i + 100) });
    await using hub = new StorageHub({ store, clock, logger: silentLogger });
    await hub.start([{ prefix: "/registry/nothing" }, { prefix: "/registry/things" }]);
    const things = hub.cache("/registry/things")!;
    expect([things.count, hub.cache("/registry/nothing")!.revision]).toEqual([OBJECTS, await store.revision()]);
    expect(things.get("a", `x${OBJECTS - 1}`)?.object).toMatchObject({ metadata: { name: `x${OBJECTS - 1}` } });
  });
});

describe("a store out of reach for longer than it remembers", () => {
  it("is read anew: what was written and deleted meanwhile is seen, watches are told to begin again, and it is followed on", async () => {
    const clock = createFakeClock();
    await using inner = createMemoryStore({ clock });
    const put = (name: string): Op => {
      const value = JSON.stringify({ kind: "Thing", apiVersion: "v1", metadata: { name, namespace: "a" } });
      return { type: "put", key: `/registry/things/a/${name}`, value: Buffer.from(value) };
    };
    await inner.txn({ compare: [], success: [put("old"), put("kept")] });
    let lose: (() => void) | undefined;
    // The first watch can be cut off, as the one on a cluster that could not be reached.
    const store: Store = Object.assign(Object.create(inner) as Store, {
      range: inner.range.bind(inner),
      watch: async (request: Parameters<Store["watch"]>[0], sink: WatchSink) => {
        const handle = await inner.watch(request, sink);
        lose ??= () => {
          handle[Symbol.dispose]();
          lose = () => sink.closed(new CompactedError(1));
        };
        return handle;
      },
    });
    await using hub = new StorageHub({ store, clock, logger: silentLogger });
    await hub.start([{ prefix: "/registry/things" }]);
    const things = hub.cache("/registry/things")!;
    const ends: string[] = [];
    using _ = things.watch({ since: hub.revision }, { event() {}, initialDone() {}, closed: (why) => ends.push(why) });
    lose?.();
    const { revision } = await inner.txn({
      compare: [],
      success: [{ type: "delete", key: "/registry/things/a/old" }, put("new")],
    });
    expect(hub.revision).toBeLessThan(revision);
    lose?.();
    await hub.waitFor(revision);
    expect([things.get("a", "old"), things.get("a", "kept")?.name, things.get("a", "new")?.name]).toEqual([
      undefined,
      "kept",
      "new",
    ]);
    expect(ends).toEqual(["expired"]);
    const later = await inner.txn({ compare: [], success: [put("later")] });
    await hub.waitFor(later.revision);
    expect(things.get("a", "later")?.name).toBe("later");
  });
});
