import type { Draft } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resourceDefinitions } from "../resources/index.ts";
import {
  admin,
  failureOf,
  metaOf,
  objectOf,
  openRegistryFixture,
  strictWrite,
  type RegistryFixture,
} from "./registry-fixture.ts";

let fixture: RegistryFixture;
beforeEach(async () => {
  fixture = await openRegistryFixture({ definitions: resourceDefinitions });
});
afterEach(() => fixture[Symbol.asyncDispose]());

const pod = (name: string, more: Draft = {}): Draft => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { app: "x" } },
  spec: { containers: [{ name: "c", image: "busybox" }], ...more },
});
const create = (resource: string, body: Draft): Promise<Draft> =>
  fixture.handler(resource).create(admin, "default", body, strictWrite).then(objectOf);
const read = (resource: string, name: string): Promise<Draft> =>
  fixture.handler(resource).get(admin, "default", name, {}).then(objectOf);
const bind = (name: string, node: string): Promise<Draft> => {
  const body = { metadata: { name }, target: { kind: "Node", name: node } };
  const binding = fixture.handler("pods").subresource("binding");
  return (binding?.create?.(admin, "default", name, body, strictWrite) ?? Promise.reject(new Error("none"))).then(
    objectOf,
  );
};

describe("pods", () => {
  it("are defaulted", async () => {
    const stored = await create("pods", pod("one"));
    expect(stored).toMatchObject({
      metadata: { generation: 1 },
      spec: { restartPolicy: "Always", dnsPolicy: "ClusterFirst", terminationGracePeriodSeconds: 30 },
      status: { phase: "Pending" },
    });
  });

  it("refuse unknown fields when asked to be strict", async () => {
    expect(await failureOf(create("pods", pod("one", { nope: 1 })))).toEqual({
      code: 400,
      reason: "BadRequest",
      message: 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.nope"',
    });
  });

  it("are bound once", async () => {
    await create("pods", pod("one"));
    expect(await bind("one", "node-1")).toMatchObject({ status: "Success" });
    expect(await read("pods", "one")).toMatchObject({
      spec: { nodeName: "node-1" },
      status: { conditions: [{ type: "PodScheduled", status: "True" }] },
    });
    expect(await failureOf(bind("one", "node-2"))).toMatchObject({
      code: 409,
      message: 'Operation cannot be fulfilled on pods/binding "one": pod one is already assigned to node "node-1"',
    });
  });

  it("are found by their node", async () => {
    for (const name of ["a", "b", "c"]) await create("pods", pod(name));
    await bind("b", "node-1");
    const found = await fixture.handler("pods").list(admin, undefined, { fieldSelector: "spec.nodeName=node-1" });
    expect(found.items.map((item) => item.name)).toEqual(["b"]);
    await bind("a", "node-1");
    const later = await fixture.handler("pods").list(admin, undefined, { fieldSelector: "spec.nodeName=node-1" });
    expect(later.items.map((item) => item.name)).toEqual(["a", "b"]);
  });

  it("go at once when they are not scheduled", async () => {
    await create("pods", pod("one"));
    await fixture.handler("pods").delete(admin, "default", "one", { options: {} });
    expect(await failureOf(read("pods", "one"))).toMatchObject({ code: 404 });
  });

  it("are given their grace, which can only be shortened, and go with the kubelet's last delete", async () => {
    await create("pods", pod("one"));
    await bind("one", "node-1");
    const pods = fixture.handler("pods");
    const first = await pods.delete(admin, "default", "one", { options: {} });
    expect(metaOf(first)).toMatchObject({
      deletionTimestamp: "2026-01-01T00:00:30Z",
      deletionGracePeriodSeconds: 30,
      generation: 2,
    });
    const longer = await pods.delete(admin, "default", "one", { options: { gracePeriodSeconds: 60 } });
    expect(metaOf(longer)).toMatchObject({ deletionGracePeriodSeconds: 30 });
    const shorter = await pods.delete(admin, "default", "one", { options: { gracePeriodSeconds: 5 } });
    expect(metaOf(shorter)).toMatchObject({
      deletionTimestamp: "2026-01-01T00:00:05Z",
      deletionGracePeriodSeconds: 5,
    });
    await pods.delete(admin, "default", "one", { options: { gracePeriodSeconds: 0 } });
    expect(await failureOf(read("pods", "one"))).toMatchObject({ code: 404 });
  });

  it("keep their spec when their status is written", async () => {
    const stored = await create("pods", pod("one"));
    const status = { ...stored, spec: { containers: [] }, status: { phase: "Running", podIP: "10.0.0.1" } };
    await fixture
      .handler("pods")
      .subresource("status")
      ?.update?.(admin, "default", "one", status as Draft, strictWrite);
    expect(await read("pods", "one")).toMatchObject({
      spec: { containers: [{ name: "c" }] },
      status: { phase: "Running", podIP: "10.0.0.1" },
    });
  });

  it("are patched", async () => {
    await create("pods", pod("one"));
    const pods = fixture.handler("pods");
    const query = { ...strictWrite, force: false };
    const body = { metadata: { labels: { more: "yes" } } };
    await pods.patch(admin, "default", "one", "strategic", body, query);
    const image = [{ op: "replace", path: "/spec/containers/0/image", value: "other" }];
    await pods.patch(admin, "default", "one", "json", image, query);
    expect(await read("pods", "one")).toMatchObject({
      metadata: { labels: { app: "x", more: "yes" }, generation: 2 },
      spec: { containers: [{ image: "other" }] },
    });
    const stale = { metadata: { resourceVersion: "1", labels: { a: "b" } } };
    expect(await failureOf(pods.patch(admin, "default", "one", "merge", stale, query))).toMatchObject({ code: 409 });
  });

  it("lose nothing when many patch at the same time", async () => {
    await create("pods", pod("one"));
    const query = { ...strictWrite, force: false };
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        fixture
          .handler("pods")
          .patch(admin, "default", "one", "merge", { metadata: { labels: { [`l${i}`]: "x" } } }, query),
      ),
    );
    expect(Object.keys((await read("pods", "one")).metadata as Draft)).toContain("labels");
    expect(Object.keys(((await read("pods", "one")).metadata as { labels: Draft }).labels)).toHaveLength(21);
  });
});

describe("scale", () => {
  const deployment: Draft = {
    metadata: { name: "web" },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image: "i" }] } },
    },
  };

  it("shows and sets the wished number", async () => {
    await create("apps/v1/deployments", deployment);
    const scale = fixture.handler("apps/v1/deployments").subresource("scale");
    const shown = objectOf(await scale!.get!(admin, "default", "web", {}));
    expect(shown).toMatchObject({ kind: "Scale", spec: { replicas: 2 }, status: { replicas: 0, selector: "app=web" } });
    const body = { ...shown, spec: { replicas: 5 } };
    expect(objectOf(await scale!.update!(admin, "default", "web", body, strictWrite))).toMatchObject({
      spec: { replicas: 5 },
    });
    expect(await read("apps/v1/deployments", "web")).toMatchObject({
      metadata: { generation: 2 },
      spec: { replicas: 5 },
    });
    expect(await failureOf(scale!.update!(admin, "default", "web", body, strictWrite))).toMatchObject({ code: 409 });
    const query = { ...strictWrite, force: false };
    await scale!.patch!(admin, "default", "web", "merge", { spec: { replicas: 1 } }, query);
    expect(await read("apps/v1/deployments", "web")).toMatchObject({ spec: { replicas: 1 } });
    expect(await failureOf(scale!.patch!(admin, "default", "web", "merge", { spec: { replicas: -1 } }, query))).toEqual(
      {
        code: 422,
        reason: "Invalid",
        message:
          'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
      },
    );
  });
});

describe("eviction", () => {
  const evict = (name: string): Promise<unknown> =>
    fixture.handler("pods").subresource("eviction")!.create!(
      admin,
      "default",
      name,
      { metadata: { name } },
      strictWrite,
    );
  const setStatus = async (resource: string, name: string, status: Draft): Promise<void> => {
    const stored = await read(resource, name);
    const body = { ...stored, status } as Draft;
    await fixture.handler(resource).subresource("status")!.update!(admin, "default", name, body, strictWrite);
  };

  it("asks the disruption budget", async () => {
    const ready = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    for (const name of ["a", "b"]) {
      await create("pods", pod(name));
      await bind(name, "node-1");
      await setStatus("pods", name, ready);
    }
    const budget = { metadata: { name: "pdb" }, spec: { minAvailable: 1, selector: { matchLabels: { app: "x" } } } };
    await create("policy/v1/poddisruptionbudgets", budget);
    const counts = { currentHealthy: 2, desiredHealthy: 1, expectedPods: 2, observedGeneration: 1 };
    await setStatus("policy/v1/poddisruptionbudgets", "pdb", { ...counts, disruptionsAllowed: 1 });
    await evict("a");
    expect((await read("pods", "a")).metadata).toHaveProperty("deletionTimestamp");
    expect(await read("policy/v1/poddisruptionbudgets", "pdb")).toMatchObject({
      status: { disruptionsAllowed: 0, disruptedPods: { a: "2026-01-01T00:00:00Z" } },
    });
    expect(await failureOf(evict("b"))).toEqual({
      code: 429,
      reason: "TooManyRequests",
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
    });
  });
});

describe("namespaces", () => {
  it("stay until their content is gone", async () => {
    const namespaces = fixture.handler("namespaces");
    await namespaces.create(admin, "", { metadata: { name: "ns" }, spec: { finalizers: ["kubernetes"] } }, strictWrite);
    const marked = await namespaces.delete(admin, "", "ns", { options: {} });
    expect(objectOf(marked)).toMatchObject({ status: { phase: "Terminating" }, spec: { finalizers: ["kubernetes"] } });
    const body = { ...objectOf(marked), spec: {} } as Draft;
    await namespaces.subresource("finalize")!.update!(admin, "", "ns", body, strictWrite);
    expect(await failureOf(namespaces.get(admin, "", "ns", {}))).toMatchObject({ code: 404 });
  });
});

describe("events", () => {
  it("are the same in both groups and end with their lease", async () => {
    const event = {
      metadata: { name: "e" },
      involvedObject: { kind: "Pod", namespace: "default", name: "x" },
      reason: "R",
      message: "m",
      type: "Normal",
      action: "Run",
      reportingComponent: "c",
      reportingInstance: "c-1",
    };
    await create("events", event);
    expect(await read("events.k8s.io/v1/events", "e")).toMatchObject({
      apiVersion: "events.k8s.io/v1",
      regarding: { name: "x" },
      note: "m",
      deprecatedSource: {},
    });
    const seen: string[] = [];
    using _watch = fixture.handler("events.k8s.io/v1/events").watch(
      admin,
      undefined,
      { allowWatchBookmarks: false },
      {
        event: (type, { current }) => seen.push(`${type} ${String(current.object.note as string)}`),
        initialDone: () => {},
        closed: () => {},
      },
    );
    const there = fixture.handler("events.k8s.io/v1/events");
    const labels = { metadata: { labels: { seen: "yes" } } };
    await there.patch(admin, "default", "e", "merge", labels, { ...strictWrite, force: false });
    await fixture.clock.advance(3_700_000);
    expect(seen).toEqual(["ADDED m", "MODIFIED m", "DELETED m"]);
  });
});

describe("deletion", () => {
  it("leaves the orphans' finalizer, or the one that waits for dependents", async () => {
    const options = { propagationPolicy: "Orphan" };
    await create("configmaps", { metadata: { name: "a" } });
    const orphaned = await fixture.handler("configmaps").delete(admin, "default", "a", { options });
    expect(metaOf(orphaned)).toMatchObject({ finalizers: ["orphan"] });
    await create("configmaps", { metadata: { name: "b" } });
    const waiting = await fixture.handler("configmaps").delete(admin, "default", "b", {
      options: { propagationPolicy: "Foreground" },
    });
    expect(metaOf(waiting)).toMatchObject({ finalizers: ["foregroundDeletion"] });
  });

  it("checks its preconditions", async () => {
    const { metadata } = await create("configmaps", { metadata: { name: "a" } });
    const { uid } = metadata as { uid: string };
    const remove = (given: string): Promise<unknown> =>
      fixture.handler("configmaps").delete(admin, "default", "a", { options: { preconditions: { uid: given } } });
    expect(await failureOf(remove("other"))).toMatchObject({
      code: 409,
      message: `Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    });
    await remove(uid);
  });

  it("takes all of a collection that match", async () => {
    for (const name of ["a", "b", "c"])
      await create("configmaps", { metadata: { name, labels: { keep: String(name === "b") } } });
    const configMaps = fixture.handler("configmaps");
    await configMaps.deleteCollection(admin, "default", { labelSelector: "keep=false" }, { options: {} });
    expect((await configMaps.list(admin, "default", {})).items.map((item) => item.name)).toEqual(["b"]);
  });
});
