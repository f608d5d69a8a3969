import { encodeKubernetes } from "@coracle/api";
import { createFakeClock } from "@coracle/base";
import { createMemoryStore } from "@coracle/etcd";
import type { Draft } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StorageEvent } from "../storage/object-storage.ts";
import {
  admin as context,
  failureOf as failure,
  metaOf,
  objectOf,
  openRegistryFixture,
  strictWrite as write,
  type RegistryFixture,
} from "./registry-fixture.ts";
import type { ResourceHandler } from "./registry.ts";

const plain = { options: {} };
let fixture: RegistryFixture;
beforeEach(async () => {
  fixture = await openRegistryFixture();
});
afterEach(() => fixture[Symbol.asyncDispose]());

const configMaps = (): ResourceHandler => fixture.handler("configmaps");
const configMap = (name: string, more: Draft = {}): Draft => ({ metadata: { name, ...more }, data: { a: "1" } });

describe("a kind from the tables alone", () => {
  it("is created, read, replaced and deleted", async () => {
    const created = await configMaps().create(context, "default", configMap("one"), write);
    expect(created).toMatchObject({ type: "stored", created: true });
    expect(objectOf(created)).toMatchObject({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "one", namespace: "default", creationTimestamp: "2026-01-01T00:00:00Z" },
    });
    const read = await configMaps().get(context, "default", "one", {});
    expect(metaOf(read)).toEqual(metaOf(created));
    if (read.type === "stored") expect(JSON.parse(read.stored.json.toString())).toEqual(read.stored.object);
    const replaced = await configMaps().update(
      context,
      "default",
      "one",
      configMap("one", { labels: { x: "y" } }),
      write,
    );
    expect(metaOf(replaced)).toMatchObject({ uid: metaOf(created).uid, labels: { x: "y" } });
    expect(metaOf(replaced).resourceVersion).not.toBe(metaOf(created).resourceVersion);
    const gone = await configMaps().delete(context, "default", "one", plain);
    expect(objectOf(gone)).toMatchObject({
      kind: "Status",
      status: "Success",
      details: { name: "one", kind: "configmaps" },
    });
    expect(await failure(configMaps().get(context, "default", "one", {}))).toEqual({
      code: 404,
      reason: "NotFound",
      message: 'configmaps "one" not found',
    });
  });

  it("refuses a second object of the same name", async () => {
    await configMaps().create(context, "default", configMap("one"), write);
    expect(await failure(configMaps().create(context, "default", configMap("one"), write))).toMatchObject({
      code: 409,
      reason: "AlreadyExists",
      message: 'configmaps "one" already exists',
    });
  });

  it("refuses an update of another version", async () => {
    await configMaps().create(context, "default", configMap("one"), write);
    const stale = configMap("one", { resourceVersion: "1" });
    expect(await failure(configMaps().update(context, "default", "one", stale, write))).toMatchObject({
      code: 409,
      message:
        'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to the latest version and try again',
    });
  });

  it("does not write an update that changes nothing", async () => {
    const created = await configMaps().create(context, "default", configMap("one"), write);
    const same = await configMaps().update(context, "default", "one", configMap("one"), write);
    expect(metaOf(same).resourceVersion).toBe(metaOf(created).resourceVersion);
  });

  it("names an object after generateName", async () => {
    const body = { metadata: { generateName: "many-" } };
    const created = await configMaps().create(context, "default", body, write);
    expect(metaOf(created).name).toMatch(/^many-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });

  it("keeps an object with finalizers until the last is gone", async () => {
    await configMaps().create(context, "default", configMap("held", { finalizers: ["example.com/hold"] }), write);
    const marked = await configMaps().delete(context, "default", "held", plain);
    expect(metaOf(marked)).toMatchObject({ deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 0 });
    await configMaps().update(context, "default", "held", configMap("held"), write);
    expect(await failure(configMaps().get(context, "default", "held", {}))).toMatchObject({ code: 404 });
  });

  it("changes nothing on a dry run", async () => {
    const dry = { ...write, dryRun: true };
    const created = await configMaps().create(context, "default", configMap("one"), dry);
    expect(created.type).toBe("object");
    expect((await configMaps().list(context, "default", {})).items).toHaveLength(0);
  });

  it("reports every fault of the metadata", async () => {
    const bad = configMap("Bad_Name", { labels: { "a b": "x" }, finalizers: ["a b"] });
    const { code, message } = await failure(configMaps().create(context, "default", bad, write));
    expect(code).toBe(422);
    expect(message).toContain(
      'ConfigMap "Bad_Name" is invalid: [metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123',
    );
    expect(message).toContain('metadata.labels: Invalid value: "a b": name part must consist of');
  });
});

describe("lists", () => {
  beforeEach(async () => {
    for (let i = 0; i < 7; i++) {
      await configMaps().create(
        context,
        i < 5 ? "default" : "other",
        configMap(`c${i}`, { labels: { odd: String(i % 2) } }),
        write,
      );
    }
  });

  it("come in pages of one state, whatever happens meanwhile", async () => {
    const first = await configMaps().list(context, undefined, { limit: 3 });
    expect(first.items.map((item) => item.name)).toEqual(["c0", "c1", "c2"]);
    expect(first.metadata.remainingItemCount).toBe(4);
    await configMaps().delete(context, "default", "c3", plain);
    await configMaps().create(context, "default", configMap("c35"), write);
    const second = await configMaps().list(context, undefined, { limit: 3, continue: first.metadata.continue ?? "" });
    expect(second.items.map((item) => item.name)).toEqual(["c3", "c4", "c5"]);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    const third = await configMaps().list(context, undefined, { limit: 3, continue: second.metadata.continue ?? "" });
    expect(third.items.map((item) => item.name)).toEqual(["c6"]);
    expect(third.metadata.continue).toBeUndefined();
  });

  it("that cannot go on in their state are 410 with a token that goes on in the present one", async () => {
    const first = await configMaps().list(context, undefined, { limit: 3 });
    await configMaps().create(context, "default", configMap("c65"), write);
    const made = await configMaps().create(context, "default", configMap("c7"), write);
    await fixture.store.compact(Number(metaOf(made).resourceVersion));
    const refused: unknown = await Promise.resolve()
      .then(async () => configMaps().list(context, undefined, { limit: 3, continue: first.metadata.continue ?? "" }))
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 410, status: { reason: "Expired" } });
    const token = (refused as { status: { metadata: { continue: string } } }).status.metadata.continue;
    const rest = await configMaps().list(context, undefined, { limit: 9, continue: token });
    expect(rest.items.map((item) => item.name)).toEqual(["c3", "c4", "c65", "c7", "c5", "c6"]);
  });

  it("are narrowed by selectors", async () => {
    const odd = await configMaps().list(context, "default", { labelSelector: "odd=1" });
    expect(odd.items.map((item) => item.name)).toEqual(["c1", "c3"]);
    const one = await configMaps().list(context, undefined, { fieldSelector: "metadata.name=c6" });
    expect(one.items.map((item) => item.name)).toEqual(["c6"]);
    expect(await failure(configMaps().list(context, undefined, { fieldSelector: "data.a=1" }))).toMatchObject({
      code: 400,
      message: '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
    });
  });

  it("of a future version time out", async () => {
    const waiting = failure(configMaps().list(context, undefined, { resourceVersion: "99999" }));
    await fixture.clock.advance(3_000);
    expect(await waiting).toMatchObject({ code: 504, reason: "Timeout" });
  });
});

describe("watches", () => {
  const collect = (): { readonly seen: string[]; event: (type: string, event: StorageEvent) => void } => {
    const seen: string[] = [];
    return { seen, event: (type, event) => seen.push(`${type} ${event.current.name}`) };
  };

  it("begin with the present state and go on with changes", async () => {
    await configMaps().create(context, "default", configMap("one"), write);
    const { seen, event } = collect();
    using _watch = configMaps().watch(
      context,
      "default",
      { allowWatchBookmarks: false },
      { event, initialDone: () => seen.push("done"), closed: () => seen.push("closed") },
    );
    await configMaps().create(context, "default", configMap("two"), write);
    await configMaps().update(context, "default", "two", configMap("two", { labels: { a: "b" } }), write);
    await configMaps().delete(context, "default", "one", plain);
    await configMaps().create(context, "other", configMap("three"), write);
    expect(seen).toEqual(["ADDED one", "done", "ADDED two", "MODIFIED two", "DELETED one"]);
  });

  it("see an object that begins or ceases to match as added or deleted", async () => {
    const { seen, event } = collect();
    using _watch = configMaps().watch(
      context,
      undefined,
      { allowWatchBookmarks: false, labelSelector: "on=yes" },
      { event, initialDone: () => {}, closed: () => {} },
    );
    await configMaps().create(context, "default", configMap("one"), write);
    await configMaps().update(context, "default", "one", configMap("one", { labels: { on: "yes" } }), write);
    await configMaps().update(context, "default", "one", configMap("one", { labels: { on: "yes", x: "y" } }), write);
    await configMaps().update(context, "default", "one", configMap("one"), write);
    expect(seen).toEqual(["ADDED one", "MODIFIED one", "DELETED one"]);
  });

  it("resume after a version, and end when it is too old", async () => {
    const first = await configMaps().create(context, "default", configMap("one"), write);
    await configMaps().create(context, "default", configMap("two"), write);
    const { seen, event } = collect();
    const watcher = { event, initialDone: () => {}, closed: () => {} };
    const resourceVersion = String(metaOf(first).resourceVersion);
    using _watch = configMaps().watch(context, undefined, { allowWatchBookmarks: false, resourceVersion }, watcher);
    expect(seen).toEqual(["ADDED two"]);
    for (let i = 0; i < 300; i++) await configMaps().create(context, "default", configMap(`x${i}`), write);
    await fixture.clock.advance(80_000);
    await configMaps().create(context, "default", configMap("last"), write);
    expect(
      await failure(
        (async () =>
          configMaps().watch(context, undefined, { allowWatchBookmarks: false, resourceVersion }, watcher))(),
      ),
    ).toMatchObject({ code: 410, reason: "Expired" });
  });
});

describe("what an upstream server left in the store", () => {
  it("is read in its binary form and written back as JSON", async () => {
    const store = createMemoryStore({ clock: createFakeClock() });
    const key = "/registry/configmaps/default/theirs";
    const object = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "theirs", namespace: "default", uid: "u" },
      data: { a: "1" },
    };
    const value = encodeKubernetes(object) as Buffer;
    await store.txn({ compare: [], success: [{ type: "put", key, value }] });
    await using other = await openRegistryFixture({ store });
    const read = await other.handler("configmaps").get(context, "default", "theirs", {});
    expect(objectOf(read)).toMatchObject({ ...object, metadata: { name: "theirs", resourceVersion: "2" } });
    const labels = { metadata: { labels: { a: "b" } } };
    await other.handler("configmaps").patch(context, "default", "theirs", "merge", labels, { ...write, force: false });
    const { kvs } = await store.range({ key });
    expect(JSON.parse(kvs[0]?.value.toString() ?? "")).toMatchObject({
      metadata: { uid: "u", labels: { a: "b" } },
      data: { a: "1" },
    });
    expect(kvs[0]?.value.toString()).not.toContain("resourceVersion");
    await store[Symbol.asyncDispose]();
  });
});
