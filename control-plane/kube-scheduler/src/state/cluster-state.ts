import type { Node, Pod } from "@coracle/api/core/v1";
import { NodeTable } from "../columns/node-table.ts";
import { PodGroups, type PodGroup } from "../columns/pod-groups.ts";
import { NodeState, uidOf } from "./node-state.ts";
import { factsOf, type PodFacts } from "./pod-facts.ts";
import { byZones } from "./zones.ts";

const NONE: readonly Pod[] = [];

/** Where a pod is counted, and as what. */
interface Placement {
  readonly state: NodeState;
  readonly facts: PodFacts;
  readonly group: PodGroup;
}

/**
 * Nodes and the pods placed on them. A placement counts from the moment it is decided (`assume`), before the API
 * server confirms it; the confirmation, or `forget`, settles it.
 *
 * All is kept twice: by node, for plugins that look at one node at a time, and in columns over all nodes.
 */
export class ClusterState {
  readonly table = new NodeTable();
  readonly groups: PodGroups;
  readonly #nodes = new Map<string, NodeState>();
  /** By pod uid. */
  readonly #placed = new Map<string, Placement>();
  readonly #assumed = new Set<string>();
  /** Node → pods that room is being made for there, by uid. */
  readonly #nominated = new Map<string, Map<string, Pod>>();
  readonly #nominations = new Map<string, string>();
  #waryNominations = 0;
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();
  #list: readonly NodeState[] | undefined;

  constructor() {
    this.groups = new PodGroups(this);
  }

  /** Nodes whose object is known, zone after zone in turn. */
  nodes(): readonly NodeState[] {
    this.#list ??= byZones([...this.#nodes.values()].filter((state) => state.node !== undefined));
    return this.#list;
  }

  node(name: string): NodeState | undefined {
    const state = this.#nodes.get(name);
    return state?.node === undefined ? undefined : state;
  }

  setNode(node: Node): void {
    const state = this.#stateOf(node.metadata.name ?? "");
    const before = state.node;
    state.node = node;
    if (before !== undefined && looksTheSame(before, node)) return;
    this.#list = undefined;
    this.table.nodeChanged(state.slot, state);
  }

  removeNode(name: string): void {
    const state = this.#nodes.get(name);
    if (state === undefined) return;
    state.node = undefined;
    this.#list = undefined;
    if (state.podCount === 0) this.#drop(state);
    else this.table.nodeChanged(state.slot, state);
  }

  /** Labels of a namespace: rules about other pods may ask for them. */
  setNamespace(name: string, labels: Readonly<Record<string, string>>): void {
    const before = this.#namespaces.get(name);
    this.#namespaces.set(name, labels);
    if (before === undefined || !sameRecord(before, labels)) this.groups.namespacesChanged();
  }

  removeNamespace(name: string): void {
    if (this.#namespaces.delete(name)) this.groups.namespacesChanged();
  }

  /** Every namespace is known by its name label at least, which the API server sees to. */
  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#namespaces.get(name) ?? { "kubernetes.io/metadata.name": name };
  }

  /** Counts a pod on its node, as the API server has it. */
  setPod(pod: Pod): void {
    const nodeName = pod.spec.nodeName ?? "";
    this.#assumed.delete(uidOf(pod));
    this.#place(pod, nodeName);
  }

  removePod(pod: Pod): void {
    const uid = uidOf(pod);
    this.#assumed.delete(uid);
    const placement = this.#placed.get(uid);
    if (placement === undefined) return;
    this.#placed.delete(uid);
    const { state } = placement;
    state.removePod(pod);
    this.#uncount(placement);
    if (state.node === undefined && state.podCount === 0) this.#drop(state);
  }

  assume(pod: Pod, nodeName: string): void {
    this.#assumed.add(uidOf(pod));
    this.#place({ ...pod, spec: { ...pod.spec, nodeName } }, nodeName);
  }

  /** Takes back an assumption that came to nothing. */
  forget(pod: Pod): void {
    if (this.#assumed.has(uidOf(pod))) this.removePod(pod);
  }

  /** Placements that the API server has not confirmed. */
  get assumedCount(): number {
    return this.#assumed.size;
  }

  isAssumed(pod: Pod): boolean {
    return this.#assumed.has(uidOf(pod));
  }

  /** Room is being made for the pod on this node: no other of its priority or less may take it. */
  nominate(pod: Pod, nodeName: string): void {
    this.denominate(pod);
    this.#nominations.set(uidOf(pod), nodeName);
    let pods = this.#nominated.get(nodeName);
    if (pods === undefined) this.#nominated.set(nodeName, (pods = new Map()));
    pods.set(uidOf(pod), pod);
    if (isWary(pod)) this.#waryNominations++;
    this.#touch(nodeName);
  }

  denominate(pod: Pod): void {
    const uid = uidOf(pod);
    const nodeName = this.#nominations.get(uid);
    if (nodeName === undefined) return;
    this.#nominations.delete(uid);
    const pods = this.#nominated.get(nodeName);
    const known = pods?.get(uid);
    if (known !== undefined && isWary(known)) this.#waryNominations--;
    pods?.delete(uid);
    if (pods?.size === 0) this.#nominated.delete(nodeName);
    this.#touch(nodeName);
  }

  nominated(nodeName: string): readonly Pod[] {
    const pods = this.#nominated.get(nodeName);
    return pods === undefined ? NONE : [...pods.values()];
  }

  /** Some pod that waits for a node must not be near certain others. */
  get hasWaryNominations(): boolean {
    return this.#waryNominations > 0;
  }

  get hasNominations(): boolean {
    return this.#nominations.size > 0;
  }

  nominationOf(pod: Pod): string | undefined {
    return this.#nominations.get(uidOf(pod));
  }

  #place(pod: Pod, nodeName: string): void {
    const uid = uidOf(pod);
    const facts = factsOf(pod);
    const group = this.groups.groupOf(pod);
    const before = this.#placed.get(uid);
    if (before !== undefined) {
      const isSame = before.state.name === nodeName && before.facts === facts && before.group === group;
      if (isSame) {
        const known = before.state.pod(uid);
        before.state.addPod(pod, facts); // only the object is another
        // Who started when decides who must leave: what was found of that on the node counts no more.
        if (known?.status?.startTime !== pod.status?.startTime) this.table.touch(before.state.slot);
        return;
      }
      before.state.removePod(pod);
      this.#uncount(before);
    }
    const state = this.#stateOf(nodeName);
    this.#placed.set(uid, { state, facts, group });
    state.addPod(pod, facts);
    this.table.count(state.slot, facts, 1);
    this.groups.add(group, state.slot);
    const left = before?.state;
    if (left !== undefined && left !== state && left.node === undefined && left.podCount === 0) this.#drop(left);
  }

  #uncount({ state, facts, group }: Placement): void {
    this.table.count(state.slot, facts, -1);
    this.groups.remove(group, state.slot);
  }

  #touch(nodeName: string): void {
    const state = this.#nodes.get(nodeName);
    if (state !== undefined) this.table.touch(state.slot);
  }

  #drop(state: NodeState): void {
    this.#nodes.delete(state.name);
    this.table.remove(state.slot);
  }

  #stateOf(name: string): NodeState {
    let state = this.#nodes.get(name);
    if (state === undefined) {
      state = new NodeState(name);
      state.slot = this.table.add(state);
      this.#nodes.set(name, state);
    }
    return state;
  }
}

const isWary = (pod: Pod): boolean => pod.spec.affinity?.podAntiAffinity !== undefined;

/** Whether nothing changed that scheduling looks at; heartbeats do not count. */
function looksTheSame(a: Node, b: Node): boolean {
  return (
    sameRecord(a.metadata.labels, b.metadata.labels) &&
    sameRecord(a.status?.allocatable, b.status?.allocatable) &&
    JSON.stringify(a.metadata.annotations) === JSON.stringify(b.metadata.annotations) &&
    JSON.stringify(a.spec) === JSON.stringify(b.spec) &&
    JSON.stringify(a.status?.images) === JSON.stringify(b.status?.images) &&
    JSON.stringify(a.status?.declaredFeatures) === JSON.stringify(b.status?.declaredFeatures)
  );
}

function sameRecord(
  a: Readonly<Record<string, string>> | undefined,
  b: Readonly<Record<string, string>> | undefined,
): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  let count = 0;
  for (const key in a) {
    if (a[key] !== b[key]) return false;
    count++;
  }
  for (const _ in b) count--;
  return count === 0;
}
