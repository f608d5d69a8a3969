import {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ServiceAccount,
  type PodSpec,
  type Taint,
  type Volume,
} from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim } from "@coracle/api/resource/v1";
import { PriorityClass } from "@coracle/api/scheduling/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { quantityMilliValue } from "@coracle/apimachinery";
import { sleep, systemClock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { peers } from "../differential/peers.ts";
import { startOurServer, startPeerServer, type ServerUnderTest } from "../differential/server.ts";
import { adminOf, coracle, startScheduler } from "./scheduler-process.ts";

const { kubeApiserver, kubeScheduler, etcd } = peers;
const TIMEOUT_MS = 300_000;
const WITHIN_MS = 120_000;
const namespace = "default";

interface NodePlan {
  readonly labels?: Record<string, string>;
  readonly taints?: readonly Taint[];
  readonly unschedulable?: boolean;
  readonly cpu?: string;
}

const NODES: Readonly<Record<string, NodePlan>> = {
  n1: { labels: { zone: "a", disk: "ssd" } },
  n2: { labels: { zone: "a" } },
  n3: { labels: { zone: "b" } },
  n4: { labels: { zone: "b", disk: "ssd" }, taints: [{ key: "only", value: "gpu", effect: "NoSchedule" }] },
  n5: { labels: { zone: "c" }, unschedulable: true },
  n6: { labels: { zone: "c" }, cpu: "2" },
};

type PodPlan = Omit<Partial<PodSpec>, "containers"> & {
  readonly cpu?: string;
  readonly hostPort?: number;
  readonly extended?: string;
};
const claim = (claimName: string): Volume => ({ name: claimName, persistentVolumeClaim: { claimName } });

const near = (labels: Record<string, string>, topologyKey: string) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels: labels } }],
});
const spread = (topologyKey: string, maxSkew: number) => ({
  topologyKey,
  maxSkew,
  whenUnsatisfiable: "DoNotSchedule",
  labelSelector: { matchLabels: { kind: "spread" } },
});
const byName = (...values: string[]) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values }] }],
    },
  },
});

/** Kind → how many, and what they ask for. Whether each is placed, and why not, is no matter of chance. */
const PODS: Readonly<Record<string, readonly [count: number, PodPlan]>> = {
  plain: [6, { cpu: "100m" }],
  "on-ssd": [3, { nodeSelector: { disk: "ssd" } }],
  tolerant: [2, { nodeSelector: { zone: "b", disk: "ssd" }, tolerations: [{ key: "only", operator: "Exists" }] }],
  port: [6, { hostPort: 8080 }],
  lonely: [5, { affinity: { podAntiAffinity: near({ kind: "lonely" }, "kubernetes.io/hostname") } }],
  spread: [3, { topologySpreadConstraints: [spread("zone", 1)] }],
  follower: [3, { affinity: { podAffinity: near({ kind: "on-ssd" }, "kubernetes.io/hostname") } }],
  urgent: [2, { priorityClassName: "urgent", cpu: "100m" }],
  huge: [1, { cpu: "100" }],
  "huge-urgent": [1, { cpu: "100", priorityClassName: "urgent" }],
  nowhere: [1, { nodeSelector: { disk: "tape" } }],
  "named-out": [1, { affinity: byName("n5") }],
  "named-none": [1, { affinity: byName("elsewhere") }],
  friendless: [1, { affinity: { podAffinity: near({ kind: "nobody" }, "zone") } }],
  claimless: [1, { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "absent" } }] }],
  gated: [1, { schedulingGates: [{ name: "example.com/wait" }] }],
  unkeyed: [1, { topologySpreadConstraints: [spread("rack", 1)] }],
  tainted: [1, { nodeSelector: { zone: "b", disk: "ssd" } }],
  stranger: [1, { schedulerName: "another" }],
  gpu: [1, { extended: "example.com/gpu" }],
  polite: [1, { cpu: "100", priorityClassName: "polite" }],
  unbound: [1, { volumes: [claim("unbound")] }],
  late: [1, { volumes: [claim("late")] }],
  local: [2, { volumes: [claim("local")] }],
  cordoned: [1, { volumes: [claim("cordoned")] }],
  once: [2, { volumes: [claim("once")] }],
  lost: [1, { volumes: [claim("lost")] }],
  classless: [1, { resourceClaims: [{ name: "d", resourceClaimName: "classless" }] }],
  deviceless: [1, { resourceClaims: [{ name: "d", resourceClaimName: "deviceless" }] }],
};

async function fill(admin: ApiClient): Promise<void> {
  await admin.create(ServiceAccount, { metadata: { namespace, name: "default" } });
  await admin.create(PriorityClass, { metadata: { name: "urgent" }, value: 1000 });
  await admin.create(PriorityClass, { metadata: { name: "polite" }, value: 1000, preemptionPolicy: "Never" });
  for (const [name, { labels, taints = [], unschedulable = false, cpu = "8" }] of Object.entries(NODES)) {
    const size = { cpu, memory: "16Gi", pods: "110" };
    await admin.create(Node, {
      metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
      spec: {},
      status: { capacity: size, allocatable: size },
    });
    // Not at once: a new node is given a taint of its own.
    await admin.patch(Node, { name }, "merge", { spec: { taints, unschedulable } });
  }
  await fillStorage(admin);
  for (const name of ["classless", "deviceless"])
    await admin.create(ResourceClaim, {
      metadata: { namespace, name },
      spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: name } }] } },
    });
  await admin.create(DeviceClass, { metadata: { name: "deviceless" }, spec: {} });
  for (const [kind, [count, { cpu, hostPort, extended, ...spec }]] of Object.entries(PODS))
    for (let i = 0; i < count; i++)
      await admin.create(Pod, {
        metadata: { namespace, name: `${kind}-${i}`, labels: { kind } },
        spec: {
          automountServiceAccountToken: false,
          ...spec,
          containers: [
            {
              name: "c",
              image: "app",
              ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }),
              ...(extended === undefined
                ? {}
                : { resources: { requests: { [extended]: "1" }, limits: { [extended]: "1" } } }),
              ...(hostPort === undefined ? {} : { ports: [{ containerPort: hostPort, hostPort }] }),
            },
          ],
        },
      });
}

/** Claims: two that nobody binds, others that are bound, one whose volume is gone. */
async function fillStorage(admin: ApiClient): Promise<void> {
  await admin.create(StorageClass, {
    metadata: { name: "late" },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  });
  const resources = { requests: { storage: "1Gi" } };
  for (const [name, storageClassName] of Object.entries({ unbound: "", late: "late" }))
    await admin.create(PersistentVolumeClaim, {
      metadata: { namespace, name },
      spec: { accessModes: ["ReadWriteOnce"], storageClassName, resources },
    });
  const bound = { local: "n1", cordoned: "n5", once: "n2", lost: "" };
  for (const [name, nodeName] of Object.entries(bound)) {
    const accessModes = [name === "once" ? "ReadWriteOncePod" : "ReadWriteOnce"];
    const { metadata } = await admin.create(PersistentVolumeClaim, {
      metadata: { namespace, name, annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
      spec: { accessModes, storageClassName: "", volumeName: name, resources },
    });
    const phase = nodeName === "" ? "Lost" : "Bound";
    await admin.patch(
      PersistentVolumeClaim,
      { namespace, name },
      "merge",
      { status: { phase } },
      { subresource: "status" },
    );
    if (nodeName === "") continue;
    const selector = { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [nodeName] }] };
    await admin.create(PersistentVolume, {
      metadata: { name },
      spec: {
        accessModes,
        capacity: { storage: "1Gi" },
        local: { path: "/data" },
        claimRef: { kind: "PersistentVolumeClaim", namespace, name, uid: metadata.uid },
        nodeAffinity: { required: { nodeSelectorTerms: [selector] } },
      },
    });
  }
}

/** How many of a kind find a node, where not all do. */
const MOST: Readonly<Record<string, number>> = {
  port: 4,
  lonely: 4,
  once: 1,
  huge: 0,
  "huge-urgent": 0,
  nowhere: 0,
  "named-out": 0,
  "named-none": 0,
  friendless: 0,
  claimless: 0,
  gated: 0,
  unkeyed: 0,
  tainted: 0,
  stranger: 0,
  gpu: 0,
  polite: 0,
  unbound: 0,
  late: 0,
  cordoned: 0,
  lost: 0,
  classless: 0,
  deviceless: 0,
};

type Outcomes = Readonly<Record<string, readonly string[]>>;

/** Kind → `placed`, or why not, of each pod of it; nothing yet: empty. */
async function outcomes(admin: ApiClient): Promise<Outcomes> {
  const found: Record<string, string[]> = {};
  for (const { metadata, spec, status } of (await admin.list(Pod, { namespace })).items) {
    const condition = status?.conditions?.find(({ type }) => type === "PodScheduled");
    const why = condition?.status === "False" ? `${condition.reason}: ${condition.message}` : "";
    (found[metadata.labels?.["kind"] ?? ""] ??= []).push((spec.nodeName ?? "") === "" ? why : "placed");
  }
  for (const each of Object.values(found)) each.sort();
  return found;
}

/** What is wrong with where pods are, by rules written down anew. */
async function misplaced(admin: ApiClient): Promise<readonly string[]> {
  const [nodes, pods] = [(await admin.list(Node)).items, (await admin.list(Pod, { namespace })).items];
  const problems: string[] = [];
  for (const { metadata, spec, status } of nodes) {
    const here = pods.filter((pod) => pod.spec.nodeName === metadata.name);
    const kinds = (kind: string): number => here.filter((pod) => pod.metadata.labels?.["kind"] === kind).length;
    const cpu = here.reduce(
      (sum, pod) => sum + quantityMilliValue(pod.spec.containers[0]?.resources?.requests?.["cpu"] ?? "0"),
      0,
    );
    if (cpu > quantityMilliValue(status?.allocatable?.["cpu"] ?? "0")) problems.push(`${metadata.name}: cpu`);
    for (const kind of ["port", "lonely"]) if (kinds(kind) > 1) problems.push(`${metadata.name}: two ${kind}`);
    if (kinds("follower") > 0 && kinds("on-ssd") === 0) problems.push(`${metadata.name}: follower of nobody`);
    if (spec.unschedulable === true && here.length > 0) problems.push(`${metadata.name}: cordoned`);
    for (const pod of here) {
      const wanted = Object.entries(pod.spec.nodeSelector ?? {});
      if (wanted.some(([key, value]) => metadata.labels?.[key] !== value))
        problems.push(`${metadata.name}: selector of ${pod.metadata.name}`);
      const hasTaint = spec.taints?.some(({ key }) => key === "only") === true;
      if (hasTaint && pod.spec.tolerations?.some(({ key }) => key === "only") !== true)
        problems.push(`${metadata.name}: taint and ${pod.metadata.name}`);
    }
  }
  const zones = new Map<string, number>(["a", "b", "c"].map((zone) => [zone, 0]));
  for (const { spec } of pods.filter(({ metadata }) => metadata.labels?.["kind"] === "spread")) {
    const zone = NODES[spec.nodeName ?? ""]?.labels?.["zone"] ?? "";
    zones.set(zone, (zones.get(zone) ?? 0) + 1);
  }
  if (Math.max(...zones.values()) - Math.min(...zones.values()) > 1) problems.push("spread is uneven");
  return problems;
}

async function play(server: ServerUnderTest, command: readonly [string, ...string[]]): Promise<Outcomes> {
  await using admin = adminOf(server);
  await fill(admin);
  await using scheduler = startScheduler(server, command);
  const until = systemClock.monotonicMs() + WITHIN_MS;
  let found = await outcomes(admin);
  const isOpen = ([kind, each]: readonly [string, readonly string[]]): boolean => {
    if (kind === "stranger") return false;
    const placed = each.filter((outcome) => outcome === "placed").length;
    return each.includes("") || placed < (MOST[kind] ?? each.length);
  };
  while (Object.entries(found).some(isOpen)) {
    if (systemClock.monotonicMs() > until)
      throw new Error(`${JSON.stringify(found)}\n${scheduler.log().slice(-4_000)}`);
    await sleep(systemClock, 200);
    found = await outcomes(admin);
  }
  expect(await misplaced(admin)).toEqual([]);
  return found;
}

const OURS = [process.execPath, coracle, "kube-scheduler"] as const;

// Needs upstream's programs: CORACLE_PEER_KUBE_APISERVER, CORACLE_PEER_KUBE_SCHEDULER and CORACLE_PEER_ETCD say where they are.
describe.skipIf(kubeApiserver === "" || kubeScheduler === "")(
  "the same pods are placed on nodes that fit, the same not, for the same reasons",
  () => {
    let ours: Promise<Outcomes> | undefined;
    const played = () =>
      (ours ??= (async () => {
        await using server = await startOurServer(coracle);
        return await play(server, OURS);
      })());

    it("by upstream's scheduler on our API server", { timeout: TIMEOUT_MS }, async () => {
      await using server = await startOurServer(coracle);
      expect(await played()).toEqual(await play(server, [kubeScheduler]));
    });

    it("by our scheduler on upstream's API server and etcd", { timeout: TIMEOUT_MS }, async () => {
      await using server = await startPeerServer({ kubeApiserver, etcd });
      expect(await play(server, OURS)).toEqual(await played());
    });
  },
);
