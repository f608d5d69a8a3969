// What applications in JavaScript do, by the official client: run in a namespace that is given, it prints a line for
// each thing that worked and ends with 1 at the first that did not.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ApiextensionsV1Api,
  AppsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  Exec,
  KubeConfig,
  KubernetesObjectApi,
  Log,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  V1MicroTime,
  Watch,
} from "@kubernetes/client-node";

const [namespace] = process.argv.slice(2);
const config = new KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(CoreV1Api);
const apps = config.makeApiClient(AppsV1Api);
const leases = config.makeApiClient(CoordinationV1Api);
const extensions = config.makeApiClient(ApiextensionsV1Api);
const custom = config.makeApiClient(CustomObjectsApi);
const objects = KubernetesObjectApi.makeApiClient(config);

async function until(what, attempt) {
  for (let turn = 0; turn < 600; turn++) {
    if (await attempt()) return;
    await sleep(50);
  }
  throw new Error(`still not true: ${what}`);
}

const settings = (name, data = {}, labels = { app: "story" }) => ({ metadata: { name, labels }, data });

const stories = {
  async "lists in pages"() {
    for (let i = 0; i < 5; i++) await core.createNamespacedConfigMap({ namespace, body: settings(`page-${i}`) });
    const names = [];
    let token;
    do {
      const page = await core.listNamespacedConfigMap({
        namespace,
        labelSelector: "app=story",
        limit: 2,
        ...(token && { _continue: token }),
      });
      assert.ok(page.items.length <= 2);
      names.push(...page.items.map(({ metadata }) => metadata.name));
      token = page.metadata._continue;
    } while (token);
    assert.deepEqual(names, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: "app=story" });
    assert.equal((await core.listNamespacedConfigMap({ namespace, labelSelector: "app=story" })).items.length, 0);
  },

  async "watches from a version"() {
    const { metadata } = await core.listNamespacedConfigMap({ namespace });
    const seen = [];
    const request = await new Watch(config).watch(
      `/api/v1/namespaces/${namespace}/configmaps`,
      { resourceVersion: metadata.resourceVersion, labelSelector: "app=watched" },
      (type, object) => seen.push(`${type} ${object.metadata.name} ${object.data?.n ?? ""}`),
      () => {},
    );
    const body = settings("watched", { n: "1" }, { app: "watched" });
    await core.createNamespacedConfigMap({ namespace, body });
    await core.replaceNamespacedConfigMap({ name: "watched", namespace, body: { ...body, data: { n: "2" } } });
    await core.deleteNamespacedConfigMap({ name: "watched", namespace });
    await until("three events", () => seen.length === 3);
    request.abort();
    assert.deepEqual(seen, ["ADDED watched 1", "MODIFIED watched 2", "DELETED watched 2"]);
  },

  async "follows objects with an informer"() {
    const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
      core.listNamespacedConfigMap({ namespace }),
    );
    const seen = [];
    for (const verb of ["add", "update", "delete"])
      informer.on(verb, ({ metadata }) => metadata.name.startsWith("inf-") && seen.push(`${verb} ${metadata.name}`));
    await core.createNamespacedConfigMap({ namespace, body: settings("inf-before") });
    await informer.start();
    await core.createNamespacedConfigMap({ namespace, body: settings("inf-after") });
    await core.replaceNamespacedConfigMap({ name: "inf-after", namespace, body: settings("inf-after", { a: "b" }) });
    await until("the cache has the change", () => informer.get("inf-after", namespace)?.data?.a === "b");
    await core.deleteNamespacedConfigMap({ name: "inf-before", namespace });
    await until("the deletion came", () => seen.includes("delete inf-before"));
    await informer.stop();
    assert.deepEqual(seen, ["add inf-before", "add inf-after", "update inf-after", "delete inf-before"]);
  },

  async "patches in four ways"() {
    const container = (name, image) => ({ name, image, command: ["sleep", "1000000"] });
    const labels = { app: "patched" };
    const spec = (containers) => ({
      replicas: 0,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    });
    const name = "patched";
    await apps.createNamespacedDeployment({
      namespace,
      body: { metadata: { name }, spec: spec([container("main", "localhost/busybox:1")]) },
    });
    const patch = (strategy, body) =>
      apps.patchNamespacedDeployment({ name, namespace, body }, setHeaderOptions("Content-Type", strategy));
    await patch(PatchStrategy.JsonPatch, [{ op: "replace", path: "/spec/revisionHistoryLimit", value: 3 }]);
    await patch(PatchStrategy.MergePatch, { metadata: { labels: { merged: "yes" } } });
    const sidecar = { spec: { template: { spec: { containers: [container("side", "localhost/busybox:1")] } } } };
    const after = await patch(PatchStrategy.StrategicMergePatch, sidecar);
    assert.deepEqual(after.spec.template.spec.containers.map(({ name: each }) => each).toSorted(), ["main", "side"]);
    assert.equal(after.spec.revisionHistoryLimit, 3);
    assert.equal(after.metadata.labels.merged, "yes");
    const applied = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name },
      spec: { revisionHistoryLimit: 5 },
    };
    const apply = (force) =>
      apps.patchNamespacedDeployment(
        { name, namespace, body: applied, fieldManager: "story", force },
        setHeaderOptions("Content-Type", PatchStrategy.ServerSideApply),
      );
    await assert.rejects(apply(false), ({ code, body }) => code === 409 && body.includes(".spec.revisionHistoryLimit"));
    assert.equal((await apply(true)).spec.revisionHistoryLimit, 5);
    await apps.deleteNamespacedDeployment({ name, namespace });
  },

  async "tells refusals apart"() {
    await assert.rejects(core.readNamespacedPod({ name: "nobody", namespace }), { code: 404 });
    await assert.rejects(core.createNamespace({ body: { metadata: { name: namespace } } }), { code: 409 });
    await assert.rejects(core.createNamespace({ body: { metadata: { name: "Not_A_Name" } } }), { code: 422 });
  },

  async "defines kinds and uses them"() {
    const names = { plural: "rowers", singular: "rower", kind: "Rower", listKind: "RowerList" };
    const schema = {
      type: "object",
      properties: { spec: { type: "object", properties: { arms: { type: "integer", _default: 2 } } } },
    };
    await extensions.createCustomResourceDefinition({
      body: {
        metadata: { name: "rowers.js.example.com" },
        spec: {
          group: "js.example.com",
          scope: "Namespaced",
          names,
          versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }],
        },
      },
    });
    await until("it is established", async () => {
      const { status } = await extensions.readCustomResourceDefinition({ name: "rowers.js.example.com" });
      return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
    });
    const place = { group: "js.example.com", version: "v1", namespace, plural: "rowers" };
    await custom.createNamespacedCustomObject({
      ...place,
      body: { apiVersion: "js.example.com/v1", kind: "Rower", metadata: { name: "ann" }, spec: {} },
    });
    assert.equal((await custom.getNamespacedCustomObject({ ...place, name: "ann" })).spec.arms, 2);
    const key = { apiVersion: "js.example.com/v1", kind: "Rower", metadata: { name: "ann", namespace } };
    assert.equal((await objects.read(key)).metadata.name, "ann");
    await objects.delete(key);
    await extensions.deleteCustomResourceDefinition({ name: "rowers.js.example.com" });
  },

  async "elects a leader with a Lease"() {
    const name = "leader";
    const spec = (holderIdentity, leaseTransitions) => ({
      holderIdentity,
      leaseTransitions,
      leaseDurationSeconds: 15,
      renewTime: new V1MicroTime(),
    });
    const created = await Promise.allSettled(
      ["a", "b"].map((who) =>
        leases.createNamespacedLease({ namespace, body: { metadata: { name }, spec: spec(who, 0) } }),
      ),
    );
    assert.deepEqual(created.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    const lease = await leases.readNamespacedLease({ name, namespace });
    // Both saw it expired; the second to write must lose.
    const taken = await Promise.allSettled(
      ["b", "c"].map((who) =>
        leases.replaceNamespacedLease({ name, namespace, body: { metadata: lease.metadata, spec: spec(who, 1) } }),
      ),
    );
    assert.deepEqual(taken.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    assert.equal(taken.find(({ status }) => status === "rejected").reason.code, 409);
  },

  async "runs commands and follows logs"() {
    const script = "echo ready; i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done";
    const body = {
      metadata: { name: "talker" },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: "talker", image: "localhost/busybox:1", command: ["sh", "-c", script] }],
      },
    };
    await core.createNamespacedPod({ namespace, body });
    await until("it runs", async () => {
      const { status } = await core.readNamespacedPod({ name: "talker", namespace });
      return status?.containerStatuses?.[0]?.ready;
    });
    const out = new PassThrough();
    const err = new PassThrough();
    const input = new PassThrough();
    const texts = { out: "", err: "", log: "" };
    out.on("data", (chunk) => (texts.out += chunk));
    err.on("data", (chunk) => (texts.err += chunk));
    const command = ["sh", "-c", "read line; echo got $line; echo oops >&2; exit 7"];
    const status = await new Promise((resolve, reject) => {
      new Exec(config)
        .exec(namespace, "talker", "talker", command, out, err, input, false, resolve)
        .then(() => input.write("words\n"), reject);
    });
    assert.equal(status.details.causes.find(({ reason }) => reason === "ExitCode").message, "7");
    await until("all came", () => texts.out === "got words\n" && texts.err === "oops\n");
    const log = new PassThrough();
    log.on("data", (chunk) => (texts.log += chunk));
    const following = await new Log(config).log(namespace, "talker", "talker", log, { follow: true });
    await until("new lines come", () => texts.log.split("\n").length > 15);
    following.abort();
    assert.ok(texts.log.startsWith("ready\nline 1\nline 2\n"));
    await core.deleteNamespacedPod({ name: "talker", namespace });
  },
};

for (const [name, story] of Object.entries(stories)) {
  await story();
  console.log(name);
}
process.exit(0);
