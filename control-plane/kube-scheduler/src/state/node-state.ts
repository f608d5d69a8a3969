import type { Node, Pod } from "@coracle/api/core/v1";
import { factsOf, hostPortsOf, type HostPort, type PodFacts } from "./pod-facts.ts";
import { amountsOf, type ResourceAmounts } from "./pod-resources.ts";

interface Placed {
  readonly pod: Pod;
  readonly facts: PodFacts;
}

/** One node as plugins see it: the object, the pods on it, and sums over them that are kept up to date. */
export class NodeState {
  readonly name: string;
  /** Its number in the columns of the cluster; -1 outside of it. */
  slot = -1;
  #node: Node | undefined;
  #allocatable: ResourceAmounts = new Map();
  readonly #pods = new Map<string, Placed>();
  readonly #requested = new Map<string, number>();
  readonly #scored = new Map<string, number>();
  /** `PROTOCOL/PORT` → address → uses. */
  #hostPorts: Map<string, Map<string, number>> | undefined;
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
    return podsOf(this.#pods.values());
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
    copy.slot = this.slot;
    copy.#node = this.#node;
    copy.#allocatable = this.#allocatable;
    for (const [uid, placed] of this.#pods) copy.#pods.set(uid, placed);
    for (const [name, amount] of this.#requested) copy.#requested.set(name, amount);
    for (const [name, amount] of this.#scored) copy.#scored.set(name, amount);
    copy.#wary = this.#wary;
    if (this.#hostPorts !== undefined) {
      copy.#hostPorts = new Map();
      for (const [port, uses] of this.#hostPorts) copy.#hostPorts.set(port, new Map(uses));
    }
    return copy;
  }

  /** Replaces the pod if it is there. */
  addPod(pod: Pod, facts: PodFacts = factsOf(pod)): void {
    this.removePod(pod);
    this.#pods.set(uidOf(pod), { pod, facts });
    this.#count(pod, facts, 1);
  }

  /** A pod on it, as it was last seen. */
  pod(uid: string): Pod | undefined {
    return this.#pods.get(uid)?.pod;
  }

  removePod(pod: Pod): void {
    const uid = uidOf(pod);
    const known = this.#pods.get(uid);
    if (known === undefined) return;
    this.#pods.delete(uid);
    this.#count(known.pod, known.facts, -1);
  }

  /** Whether a host port of `pod` is taken. An address of 0.0.0.0 (or none) clashes with every other. */
  hasPortConflict(pod: Pod): boolean {
    return this.clashesWith(hostPortsOf(pod));
  }

  /** Whether one of these ports is taken. */
  clashesWith(ports: readonly HostPort[]): boolean {
    for (const { protocol, address, port } of ports) {
      const taken = this.#hostPorts?.get(`${protocol}/${port}`);
      if (taken !== undefined && (address === ANY || taken.has(ANY) || taken.has(address))) return true;
    }
    return false;
  }

  #count(pod: Pod, facts: PodFacts, sign: 1 | -1): void {
    if (pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution !== undefined)
      this.#wary += sign;
    if (this.#pods.size === 0) {
      // Whatever absurd amounts did to the sums is gone.
      this.#requested.clear();
      this.#scored.clear();
      this.#hostPorts = undefined;
      return;
    }
    for (const [name, amount] of facts.requests)
      this.#requested.set(name, (this.#requested.get(name) ?? 0) + sign * amount);
    for (const [name, amount] of facts.scored) this.#scored.set(name, (this.#scored.get(name) ?? 0) + sign * amount);
    for (const port of facts.ports) this.#countPort(port, sign);
  }

  #countPort({ protocol, address, port }: HostPort, sign: 1 | -1): void {
    this.#hostPorts ??= new Map();
    const key = `${protocol}/${port}`;
    let taken = this.#hostPorts.get(key);
    if (taken === undefined) this.#hostPorts.set(key, (taken = new Map()));
    const uses = (taken.get(address) ?? 0) + sign;
    if (uses === 0) taken.delete(address);
    else taken.set(address, uses);
    if (taken.size === 0) this.#hostPorts.delete(key);
  }
}

const ANY = "0.0.0.0";

function* podsOf(placed: Iterable<Placed>): Generator<Pod> {
  for (const { pod } of placed) yield pod;
}

export const uidOf = (pod: Pod): string => pod.metadata.uid ?? `${pod.metadata.namespace}/${pod.metadata.name}`;
