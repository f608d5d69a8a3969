import { join } from "node:path";
import { Deployment, StatefulSet } from "@coracle/api/apps/v1";
import { Job } from "@coracle/api/batch/v1";
import {
  Endpoints,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Service,
  ServiceAccount,
} from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { StorageClass, VolumeAttachment } from "@coracle/api/storage/v1";
import { isNotFound } from "@coracle/apimachinery";
import { Cleanup, isAbort, sleep, systemClock } from "@coracle/base";
import { createApiClient, createHttpTransport, type ApiClient } from "@coracle/client";
import { openClusterPki } from "@coracle/pki";
import { describe, expect, it } from "vitest";
import { eventually } from "../cluster/eventually.ts";
import { coracleFile } from "../cluster/test-cluster.ts";
import { runSimulatedNode } from "../control-plane/simulated-node.ts";
import { startOurServer } from "../differential/server.ts";
import { startManager } from "./manager-process.ts";
import { familiesOf, merged, type Family } from "./metric-families.ts";

const { CORACLE_PEER_KUBE_CONTROLLER_MANAGER: peer = "" } = process.env;
const TIMEOUT_MS = 300_000;
const WITHIN_MS = 100_000;
const namespace = "stage";
const GATES = "--feature-gates=MaxUnavailableStatefulSet=true";

const until = <T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> =>
  eventually(what, attempt, WITHIN_MS);

const isGone = (attempt: () => Promise<unknown>) => async (): Promise<boolean> => {
  try {
    await attempt();
    return false;
  } catch (error) {
    return isNotFound(error);
  }
};

/** A little of everything that is counted, as long as it lasts. */
async function build(admin: ApiClient): Promise<void> {
  const labels = { app: "web" };
  const at = (image: string) => ({
    nodeName: "n1",
    terminationGracePeriodSeconds: 0,
    containers: [{ name: "c", image }],
  });
  const template = { metadata: { labels }, spec: at("web:1") };
  const selector = { matchLabels: labels };
  const task = (image: string) => ({ spec: { ...at(image), restartPolicy: "Never" } });
  await until("there is somebody", async () =>
    admin.get(ServiceAccount, { namespace: "kube-system", name: "default" }),
  );
  await admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
  await until("pods can be made", async () => admin.get(ServiceAccount, { namespace, name: "default" }));
  await until("the node has a range", async () => (await admin.get(Node, { name: "n1" })).spec.podCIDR !== undefined);

  const annotations = { "volumes.kubernetes.io/controller-managed-attach-detach": "true" };
  await admin.patch(Node, { name: "n1" }, "merge", { metadata: { annotations } });
  await admin.create(Service, {
    metadata: { name: "web", namespace },
    spec: { selector: labels, ports: [{ port: 80 }] },
  });
  await admin.create(Deployment, { metadata: { name: "web", namespace }, spec: { replicas: 2, selector, template } });
  await admin.create(StatefulSet, {
    metadata: { name: "db", namespace },
    spec: {
      serviceName: "db",
      replicas: 1,
      selector: { matchLabels: { app: "db" } },
      template: { metadata: { labels: { app: "db" } }, spec: at("web:1") },
    },
  });
  const job = (name: string, spec: Omit<Job["spec"], "template">, image: string) =>
    admin.create(Job, { metadata: { namespace, name }, spec: { ...spec, template: task(image) } });
  await job("good", { completions: 2, completionMode: "Indexed" }, "task:ok");
  await job("bad", { completions: 1, completionMode: "Indexed", backoffLimitPerIndex: 0 }, "task:bad");
  const onExitCodes = { operator: "In", values: [1] };
  await job("policy", { podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes }] } }, "task:bad");
  await job("foreign", { managedBy: "example.com/somebody" }, "task:ok");

  await admin.create(Service, { metadata: { name: "own", namespace }, spec: { ports: [{ port: 80 }] } });
  const subsets = [{ addresses: [{ ip: "192.0.2.10" }], ports: [{ port: 80 }] }];
  await admin.create(Endpoints, { metadata: { name: "own", namespace }, subsets });

  const capacity = { storage: "1Gi" };
  await admin.create(PersistentVolume, {
    metadata: { name: "here" },
    spec: { capacity, accessModes: ["ReadWriteOnce"], hostPath: { path: "/tmp/nowhere" }, storageClassName: "" },
  });
  await admin.create(PersistentVolume, {
    metadata: { name: "lost" },
    spec: {
      capacity,
      accessModes: ["ReadWriteMany"],
      persistentVolumeReclaimPolicy: "Delete",
      hostPath: { path: "/data/nowhere" },
      storageClassName: "",
    },
  });
  const claimSpec = { accessModes: ["ReadWriteOnce"], resources: { requests: capacity } };
  await admin.create(PersistentVolumeClaim, {
    metadata: { name: "lost", namespace },
    spec: { ...claimSpec, accessModes: ["ReadWriteMany"], storageClassName: "" },
  });
  await admin.create(PersistentVolumeClaim, {
    metadata: { name: "here", namespace },
    spec: { ...claimSpec, storageClassName: "" },
  });
  await admin.create(StorageClass, { metadata: { name: "none" }, provisioner: "example.com/none" });
  await admin.create(Pod, {
    metadata: { name: "short-lived", namespace },
    spec: {
      ...at("web:1"),
      volumes: [
        { name: "v", ephemeral: { volumeClaimTemplate: { spec: { ...claimSpec, storageClassName: "none" } } } },
      ],
    },
  });
  await admin.create(PersistentVolume, {
    metadata: { name: "driven" },
    spec: {
      capacity,
      accessModes: ["ReadWriteOnce"],
      csi: { driver: "csi.example.com", volumeHandle: "v1" },
      storageClassName: "none",
      claimRef: { namespace, name: "driven" },
    },
  });
  await admin.create(PersistentVolumeClaim, {
    metadata: { name: "driven", namespace },
    spec: { ...claimSpec, storageClassName: "none", volumeName: "driven" },
  });

  const ended = (name: string, type: string) =>
    until(`${name} is ${type}`, async () =>
      (await admin.get(Job, { namespace, name })).status?.conditions?.some((each) => each.type === type),
    );
  await ended("good", "Complete");
  await ended("bad", "Failed");
  await ended("policy", "Failed");
  await until("it is mirrored", async () => {
    const { items } = await admin.list(EndpointSlice, { namespace });
    return items.some(({ metadata }) => (metadata.name ?? "").startsWith("own-"));
  });
  const isBound = (name: string) => async () =>
    (await admin.get(PersistentVolumeClaim, { namespace, name })).status?.phase === "Bound";
  await until("the claim is bound", isBound("here"));
  await until("the driven one too", isBound("driven"));
  await until("and the one that will be lost", isBound("lost"));
  await admin.create(Pod, {
    metadata: { name: "user", namespace },
    spec: { ...at("web:1"), volumes: [{ name: "v", persistentVolumeClaim: { claimName: "driven" } }] },
  });
  await until("it is attached", async () => (await admin.list(VolumeAttachment)).items.length === 1);
  await until(
    "pods are there",
    async () => (await admin.get(Deployment, { namespace, name: "web" })).status?.replicas === 2,
  );
}

/** And then less of it. */
async function tearDown(admin: ApiClient): Promise<void> {
  await admin.patch(Deployment, { namespace, name: "web" }, "merge", { spec: { replicas: 1 } });
  await admin.delete(PersistentVolumeClaim, { namespace, name: "lost" });
  await until("the volume cannot be deleted", async () => {
    const { status } = await admin.get(PersistentVolume, { name: "lost" });
    return status?.phase === "Failed";
  });
  await admin.delete(StatefulSet, { namespace, name: "db" }, { propagationPolicy: "Orphan" });
  await until(
    "the set is gone",
    isGone(() => admin.get(StatefulSet, { namespace, name: "db" })),
  );
  await admin.delete(Job, { namespace, name: "good" }, { propagationPolicy: "Foreground" });
  await until(
    "the Job is gone",
    isGone(() => admin.get(Job, { namespace, name: "good" })),
  );
  await admin.delete(Service, { namespace, name: "own" });
  await admin.patch(Node, { name: "n1" }, "merge", { spec: { taints: [{ key: "a", effect: "NoExecute" }] } });
  await until("pods are driven away", async () => {
    const { items } = await admin.list(Pod, { namespace });
    return !items.some(({ metadata: { name } }) => name === "user");
  });
  await admin.delete(Node, { name: "n1" });
}

async function familiesAfterExercise(command: readonly [string, ...string[]]): Promise<ReadonlyMap<string, Family>> {
  await using cleanup = new Cleanup();
  const server = cleanup.use(await startOurServer(coracleFile(), () => [GATES]));
  const pki = openClusterPki({ dir: join(server.dir, "pki"), apiServerNames: [], now: systemClock.now() });
  const clientOf = (commonName: string, ...organizations: string[]): ApiClient => {
    const keys = pki.issueClient({ commonName, organizations });
    return cleanup.use(
      createApiClient({ transport: createHttpTransport({ server: server.target.url, ca: server.target.ca, ...keys }) }),
    );
  };
  const admin = clientOf("kubernetes-admin", "system:masters");
  const stop = new AbortController();
  const manager = cleanup.use(await startManager(server, command, [GATES]));
  const node = { client: clientOf("system:node:n1", "system:nodes"), clock: systemClock, signal: stop.signal };
  const images = { shortImage: "task:ok", failingImage: "task:bad" };
  const running = runSimulatedNode({ name: "n1", ...images }, { ...node, onReady: () => undefined }).catch(
    (error: unknown) => {
      // Its node is deleted at the end.
      if (!isAbort(error, stop.signal) && !isNotFound(error)) throw error;
    },
  );
  cleanup.add(async () => {
    stop.abort(new DOMException("the test is over", "AbortError"));
    await running;
  });
  const found = new Map<string, Family>();
  const look = async (): Promise<void> => {
    for (const [name, family] of familiesOf(await manager.metrics())) found.set(name, merged(found.get(name), family));
  };
  await build(admin);
  await look();
  await tearDown(admin);
  let before = -1;
  await until("nothing new is counted", async () => {
    await sleep(systemClock, 3000);
    await look();
    const isQuiet = found.size === before;
    before = found.size;
    return isQuiet;
  });
  return found;
}

/** Go's runtime, and what every server of upstream's library has because it could be an API server. */
const NOT_THE_MANAGERS =
  /^(?:go|process|apiserver|apiextensions_apiserver|aggregator|authentication|authorization|authenticated|disabled_metrics|hidden_metrics|registered_metrics|cardinality_enforcement|kubernetes|version)_/;
/** Of machinery that is not here. */
const NOT_HERE: ReadonlySet<string> = new Set([
  "rest_client_exec_plugin_certificate_rotation_age",
  "rest_client_exec_plugin_ttl_seconds",
  "rest_client_rate_limiter_duration_seconds",
  "rest_client_transport_cache_entries",
  "rest_client_transport_create_calls_total",
]);

// Needs upstream's program: CORACLE_PEER_KUBE_CONTROLLER_MANAGER says where it is.
describe.skipIf(peer === "")("what the manager counts of itself", () => {
  it("has upstream's names, kinds, labels and buckets", { timeout: TIMEOUT_MS }, async () => {
    const theirs = await familiesAfterExercise([peer]);
    const ours = await familiesAfterExercise([process.execPath, coracleFile(), "kube-controller-manager"]);
    const wanted = [...theirs].filter(([name]) => !NOT_THE_MANAGERS.test(name) && !NOT_HERE.has(name));
    expect(Object.fromEntries(wanted.map(([name]) => [name, ours.get(name)]))).toEqual(Object.fromEntries(wanted));
  });
});
