import { createFakeClock, silentLogger } from "@coracle/base";
import { createMemoryStore, type Op } from "@coracle/etcd";
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
