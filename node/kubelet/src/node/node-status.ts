import type { ContainerImage, Node, NodeCondition, NodeRuntimeHandler, NodeStatus } from "@coracle/api/core/v1";
import type { Image, RuntimeHandler } from "@coracle/api/cri";
import type { Instant } from "@coracle/base";
import type { KubeletConfiguration } from "../config.ts";
import type { Machine } from "../host/machine.ts";
import { nodeAddresses } from "./cloud.ts";
import { quantityMillis, quantityUnits } from "../resources/quantity.ts";

/** Everything that a node's status is made of. */
export interface NodeStatusInput {
  readonly node: Node;
  readonly now: Instant;
  readonly machine: Machine;
  readonly configuration: KubeletConfiguration;
  readonly hostname: string;
  readonly ips: readonly string[];
  readonly versions: { readonly kubelet: string; readonly runtime: string };
  /** Why the node is not ready, in one sentence; undefined when it is. */
  readonly notReady: string | undefined;
  readonly images: readonly Image[];
  readonly runtimeHandlers: readonly RuntimeHandler[];
}

const MAX_IMAGES = 50;
const MAX_NAMES = 5;
const EVICTION_MEMORY_BYTES = 100 * 2 ** 20;
const EVICTION_DISK_SHARE = 0.1;

/** What pods of this node may have: all that there is, less what is reserved and kept for emergencies. */
export function nodeResources(
  machine: Machine,
  configuration: KubeletConfiguration,
): { readonly capacity: Readonly<Record<string, string>>; readonly allocatable: Readonly<Record<string, string>> } {
  const reserved = (name: string): string[] =>
    [configuration.systemReserved[name], configuration.kubeReserved[name]].flatMap((text) =>
      text === undefined ? [] : [text],
    );
  const sum = (texts: readonly string[], read: (text: string) => number): number =>
    texts.reduce((total, text) => total + read(text), 0);
  const cpuMillis = machine.cpus * 1000 - sum(reserved("cpu"), quantityMillis);
  const memory = machine.memoryBytes - sum(reserved("memory"), quantityUnits) - EVICTION_MEMORY_BYTES;
  const disk =
    machine.ephemeralStorageBytes * (1 - EVICTION_DISK_SHARE) - sum(reserved("ephemeral-storage"), quantityUnits);
  const pods = String(configuration.maxPods);
  return {
    capacity: {
      cpu: String(machine.cpus),
      "ephemeral-storage": `${Math.floor(machine.ephemeralStorageBytes / 1024)}Ki`,
      "hugepages-2Mi": "0",
      memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
      pods,
    },
    allocatable: {
      cpu: cpuMillis % 1000 === 0 ? String(cpuMillis / 1000) : `${cpuMillis}m`,
      "ephemeral-storage": String(Math.floor(disk)),
      "hugepages-2Mi": "0",
      memory: `${Math.floor(memory / 1024)}Ki`,
      pods,
    },
  };
}

const iso = (at: Instant): string => `${new Date(at).toISOString().slice(0, 19)}Z`;

/** The node's whole status, with the heartbeat of `now`. */
export function computeNodeStatus(input: NodeStatusInput): NodeStatus {
  const { node, machine, configuration, now } = input;
  const { capacity, allocatable } = nodeResources(machine, configuration);
  const condition = (type: string, status: "True" | "False", reason: string, message: string): NodeCondition => {
    const old = node.status?.conditions?.find((each) => each.type === type);
    const isSame = old?.status === status && old.lastTransitionTime !== undefined;
    return {
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: iso(now),
      lastTransitionTime: isSame ? old.lastTransitionTime : iso(now),
    };
  };
  return {
    addresses: nodeAddresses(configuration, node.status?.addresses ?? [], input.ips, input.hostname),
    capacity,
    allocatable,
    conditions: [
      condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
      condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
      condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
      input.notReady === undefined
        ? condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        : condition("Ready", "False", "KubeletNotReady", input.notReady),
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: configuration.port } },
    nodeInfo: {
      ...machine.info,
      containerRuntimeVersion: input.versions.runtime,
      kubeletVersion: input.versions.kubelet,
      kubeProxyVersion: "",
    },
    images: nodeImages(input.images),
    runtimeHandlers: input.runtimeHandlers.map(({ name, features }): NodeRuntimeHandler => ({
      name: name ?? "",
      features: {
        recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts ?? false,
        userNamespaces: features?.userNamespaces ?? false,
      },
    })),
  };
}

/** The largest images, by their names. */
function nodeImages(images: readonly Image[]): ContainerImage[] {
  return images
    .toSorted((a, b) => (b.size ?? 0) - (a.size ?? 0))
    .slice(0, MAX_IMAGES)
    .map((image) => ({
      names: [...(image.repoDigests ?? []), ...(image.repoTags ?? [])].slice(0, MAX_NAMES),
      sizeBytes: image.size ?? 0,
    }));
}
