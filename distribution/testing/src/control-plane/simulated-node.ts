import { Node, Pod, type Taint } from "@coracle/api/core/v1";
import { Lease } from "@coracle/api/coordination/v1";
import { isConflict, isNotFound } from "@coracle/apimachinery";
import { sleep, type Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

/** A node as the API sees one. */
export interface SimulatedNode {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
  /** Default: 4 CPUs, 8 GiB, 110 pods. */
  readonly allocatable?: Readonly<Record<string, string>>;
  /** Containers with this image never become ready. */
  readonly brokenImage?: string;
  /** Containers with this image end with code 0 at once. */
  readonly shortImage?: string;
  /** Containers with this image end with code 1 at once. */
  readonly failingImage?: string;
}

interface SimulatedNodeDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onReady(): void;
}

const LEASE_MS = 10_000;

/** Registers a node and reports on its pods, by a kubelet's own rights, until the signal aborts. */
export async function runSimulatedNode(node: SimulatedNode, deps: SimulatedNodeDeps): Promise<void> {
  const { client, clock } = deps;
  const { name } = node;
  const time = (): string => new Date(clock.now()).toISOString().replace(/\.\d+Z/, "Z");
  const capacity = node.allocatable ?? { cpu: "4", memory: "8Gi", pods: "110", "ephemeral-storage": "100Gi" };
  await client.create(Node, {
    metadata: { name, labels: { "kubernetes.io/hostname": name, ...node.labels } },
    spec: node.taints === undefined ? {} : { taints: node.taints },
  });
  const ready = {
    type: "Ready",
    status: "True",
    reason: "KubeletReady",
    message: "kubelet is posting ready status",
    lastHeartbeatTime: time(),
    lastTransitionTime: time(),
  };
  const status = { capacity, allocatable: capacity, conditions: [ready] };
  await client.patch(Node, { name }, "strategic", { status }, { subresource: "status" });
  await client.create(Lease, {
    metadata: { name, namespace: "kube-node-lease" },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: microTime(clock) },
  });
  deps.onReady();
  await Promise.all([renew(name, deps), followPods(node, deps, time)]);
}

const microTime = (clock: Clock): string => new Date(clock.now()).toISOString().replace("Z", "000Z");

async function renew(name: string, { client, clock, signal }: SimulatedNodeDeps): Promise<void> {
  for (;;) {
    await sleep(clock, LEASE_MS, signal);
    const spec = { renewTime: microTime(clock) };
    await client.patch(Lease, { namespace: "kube-node-lease", name }, "merge", { spec }, { signal });
  }
}

let addresses = 0;

const podAddress = (ip: string) => ({ podIP: ip, podIPs: [{ ip }] });

function newAddress(): string {
  addresses++;
  return `10.244.${Math.floor(addresses / 250) % 250}.${(addresses % 250) + 2}`;
}

async function followPods(node: SimulatedNode, deps: SimulatedNodeDeps, time: () => string): Promise<void> {
  const { client, signal } = deps;
  const fieldSelector = `spec.nodeName=${node.name}`;
  /** Pods that were told to run; an event may be older than that. */
  const begun = new Set<string>();
  // The server ends a watch after some time: then all is looked at anew.
  for (;;) {
    const { items, metadata } = await client.list(Pod, { fieldSelector, signal });
    for (const pod of items) await report(pod);
    const events = client.watch(Pod, { fieldSelector, resourceVersion: metadata.resourceVersion, signal });
    for await (const event of events)
      if (event.type === "ADDED" || event.type === "MODIFIED") await report(event.object as Pod);
  }

  async function report(pod: Pod): Promise<void> {
    const key = { namespace: pod.metadata.namespace ?? "", name: pod.metadata.name ?? "" };
    try {
      if (pod.metadata.deletionTimestamp !== undefined) {
        await client.delete(Pod, key, { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid }, signal });
      } else if (pod.status?.startTime === undefined && !begun.has(pod.metadata.uid ?? "")) {
        begun.add(pod.metadata.uid ?? "");
        await client.patch(Pod, key, "strategic", { status: statusOf(pod) }, { subresource: "status", signal });
      }
    } catch (error) {
      // Somebody was quicker; the next event tells.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  function statusOf(pod: Pod): object {
    const images = pod.spec.containers.map((container) => container.image);
    const isBroken = node.brokenImage !== undefined && images.includes(node.brokenImage);
    const isFailed = node.failingImage !== undefined && images.includes(node.failingImage);
    const isOver = isFailed || (node.shortImage !== undefined && images.includes(node.shortImage));
    const condition = (type: string, holds: boolean): object => ({
      type,
      status: holds ? "True" : "False",
      lastTransitionTime: time(),
    });
    const state = isOver
      ? {
          terminated: {
            exitCode: isFailed ? 1 : 0,
            reason: isFailed ? "Error" : "Completed",
            startedAt: time(),
            finishedAt: time(),
          },
        }
      : isBroken
        ? { waiting: { reason: "ImagePullBackOff" } }
        : { running: { startedAt: time() } };
    return {
      phase: isFailed ? "Failed" : isOver ? "Succeeded" : isBroken ? "Pending" : "Running",
      startTime: time(),
      ...podAddress(newAddress()),
      conditions: [
        condition("Initialized", true),
        condition("ContainersReady", !isBroken && !isOver),
        condition("Ready", !isBroken && !isOver),
      ],
      containerStatuses: pod.spec.containers.map((container) => ({
        name: container.name,
        image: container.image,
        imageID: "",
        ready: !isBroken && !isOver,
        restartCount: 0,
        state,
      })),
    };
  }
}
