import type { Node, Pod } from "@coracle/api/core/v1";
import { amountsOf, podRequests, scoringRequests, type ResourceAmounts } from "./pod-resources.ts";

/** `PROTOCOL/ADDRESS/PORT` of a host port. */
type HostPort = string;

/** One node as plugins see it: the object, the pods on it, and sums over them that are kept up to date. */
export class NodeState {
  readonly name: string;
  #node: Node | undefined;
  #allocatable: ResourceAmounts = new Map();
  readonly #pods = new Map<string, Pod>();
  readonly #requested = new Map<string, number>();
  readonly #scored = new Map<string, number>();
  readonly #hostPorts = new Map<HostPort, number>();

  #wary = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Undefined while only pods of this node were seen. */
  get node(): Node | undefined {
    return this.#node;
  }

  set node(node: Node | undefined) {
    this.#node = node;
    this.#allocatable = amountsOf(node?.status?.allocatable);
  }

  get allocatable(): ResourceAmounts {
    return this.#allocatable;
  }

  get pods(): Iterable<Pod> {
    return this.#pods.values();
  }

  get podCount(): number {
    return this.#pods.size;
  }

  /** How many pods here must not be near certain others. */
  get waryPodCount(): number {
    return this.#wary;
  }

  requested(resource: string): number {
    return this.#requested.get(resource) ?? 0;
  }

  /** Requested, with defaults for pods that request nothing. */
  scored(resource: string): number {
    return this.#scored.get(resource) ?? 0;
  }

  /** A copy to try things on. */
  clone(): NodeState {
    const copy = new NodeState(this.name);
    copy.#node = this.#node;
    copy.#allocatable = this.#allocatable;
    for (const pod of this.#pods.values()) copy.#pods.set(uidOf(pod), pod);
    for (const [name, amount] of this.#requested) copy.#requested.set(name, amount);
    for (const [name, amount] of this.#scored) copy.#scored.set(name, amount);
    copy.#wary = this.#wary;
    for (const [port, uses] of this.#hostPorts) copy.#hostPorts.set(port, uses);
    return copy;
  }

  /** Replaces the pod if it is there. */
  addPod(pod: Pod): void {
    this.removePod(pod);
    this.#pods.set(uidOf(pod), pod);
    this.#count(pod, 1);
  }

  removePod(pod: Pod): void {
    const known = this.#pods.get(uidOf(pod));
    if (known === undefined) return;
    this.#pods.delete(uidOf(pod));
    this.#count(known, -1);
  }

  /** Whether a host port of `pod` is taken. An address of 0.0.0.0 (or none) clashes with every other. */
  hasPortConflict(pod: Pod): boolean {
    for (const [protocol, address, port] of hostPortsOf(pod)) {
      for (const taken of this.#hostPorts.keys()) {
        const [takenProtocol, takenAddress, takenPort] = taken.split("/");
        if (takenProtocol !== protocol || takenPort !== port) continue;
        if (address === "0.0.0.0" || takenAddress === "0.0.0.0" || address === takenAddress) return true;
      }
    }
    return false;
  }

  #count(pod: Pod, sign: 1 | -1): void {
    if (pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution !== undefined)
      this.#wary += sign;
    for (const [name, amount] of podRequests(pod))
      this.#requested.set(name, (this.#requested.get(name) ?? 0) + sign * amount);
    for (const [name, amount] of scoringRequests(pod))
      this.#scored.set(name, (this.#scored.get(name) ?? 0) + sign * amount);
    for (const parts of hostPortsOf(pod)) {
      const key = parts.join("/");
      const uses = (this.#hostPorts.get(key) ?? 0) + sign;
      if (uses === 0) this.#hostPorts.delete(key);
      else this.#hostPorts.set(key, uses);
    }
  }
}

export const uidOf = (pod: Pod): string => pod.metadata.uid ?? `${pod.metadata.namespace}/${pod.metadata.name}`;

function hostPortsOf(pod: Pod): [protocol: string, address: string, port: string][] {
  const restartable = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === "Always");
  return [...pod.spec.containers, ...restartable].flatMap((container) =>
    (container.ports ?? []).flatMap((port): [string, string, string][] =>
      port.hostPort === undefined || port.hostPort === 0
        ? []
        : [
            [
              port.protocol ?? "TCP",
              port.hostIP === undefined || port.hostIP === "" ? "0.0.0.0" : port.hostIP,
              String(port.hostPort),
            ],
          ],
    ),
  );
}
