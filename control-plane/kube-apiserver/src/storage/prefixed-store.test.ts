import { createFakeClock } from "@coracle/base";
import { createMemoryStore, type StoreEvent } from "@coracle/etcd";
import { expect, it } from "vitest";
import { withKeyPrefix } from "./prefixed-store.ts";

it.each([
  ["/other", "/other/pods/a"],
  ["/a/b", "/a/b/pods/a"],
  ["/", "/pods/a"],
])("with the prefix %s a pod's key is %s", async (prefix, stored) => {
  await using base = createMemoryStore({ clock: createFakeClock() });
  const store = withKeyPrefix(base, prefix);
  const seen: StoreEvent[] = [];
  const root = { key: "/registry/", end: "/registry0" };
  using _watch = await store.watch(root, { events: (events) => seen.push(...events), closed() {} });
  const key = "/registry/pods/a";
  const value = Buffer.from("v");
  await store.txn({
    compare: [{ key, op: "=", target: "mod", value: 0 }],
    success: [{ type: "put", key, value }],
  });
  await base.txn({ compare: [], success: [{ type: "put", key: "compact_rev_key", value }] });
  expect((await base.range({ key: stored })).kvs).toMatchObject([{ key: stored, value }]);
  expect((await store.range(root)).kvs).toMatchObject([{ key, value }]);
  expect((await store.range({ key: "compact_rev_key" })).count).toBe(1);
  await store.txn({ compare: [], success: [{ type: "delete", key: "/registry/pods/", end: "/registry/pods0" }] });
  expect(seen.map((event) => (event.type === "put" ? event.kv.key : event.key))).toEqual([key, key]);
});
