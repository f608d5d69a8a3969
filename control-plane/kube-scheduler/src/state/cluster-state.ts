import type { Node, Pod } from "@coracle/api/core/v1";
import { NodeState, uidOf } from "./node-state.ts";

const NONE: readonly Pod[] = [];

/**
 * Nodes and the pods placed on them. A placement counts from the moment it is decided (`assume`), before the API
 * server confirms it; the confirmation, or `forget`, settles it.
 */
export class ClusterState {
  readonly #nodes = new Map<string, NodeState>();
  /** Pod uid → node that its pod is counted on. */
  readonly #placed = new Map<string, string>();
  readonly #assumed = new Set<string>();
  /** Node → pods that room is being made for there, by uid. */
  readonly #nominated = new Map<string, Map<string, Pod>>();
  readonly #nominations = new Map<string, string>();
  #list: readonly NodeState[] | undefined;

  /** Nodes whose object is known, in the order in which they came. */
  nodes(): readonly NodeState[] {
    this.#list ??= [...this.#nodes.values()].filter((state) => state.node !== undefined);
    return this.#list;
  }

  node(name: string): NodeState | undefined {
    const state = this.#nodes.get(name);
    return state?.node === undefined ? undefined : state;
  }

  setNode(node: Node): void {
    const state = this.#stateOf(node.metadata.name ?? "");
    if (state.node === undefined) this.#list = undefined;
    state.node = node;
  }

  removeNode(name: string): void {
    const state = this.#nodes.get(name);
    if (state === undefined) return;
    state.node = undefined;
    this.#list = undefined;
    if (state.podCount === 0) this.#nodes.delete(name);
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
    const nodeName = this.#placed.get(uid);
    if (nodeName === undefined) return;
    this.#placed.delete(uid);
    const state = this.#nodes.get(nodeName);
    state?.removePod(pod);
    if (state?.node === undefined && state?.podCount === 0) this.#nodes.delete(nodeName);
  }

  assume(pod: Pod, nodeName: string): void {
    this.#assumed.add(uidOf(pod));
    this.#place({ ...pod, spec: { ...pod.spec, nodeName } }, nodeName);
  }

  /** Takes back an assumption that came to nothing. */
  forget(pod: Pod): void {
    if (this.#assumed.has(uidOf(pod))) this.removePod(pod);
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
  }

  denominate(pod: Pod): void {
    const uid = uidOf(pod);
    const nodeName = this.#nominations.get(uid);
    if (nodeName === undefined) return;
    this.#nominations.delete(uid);
    const pods = this.#nominated.get(nodeName);
    pods?.delete(uid);
    if (pods?.size === 0) this.#nominated.delete(nodeName);
  }

  nominated(nodeName: string): readonly Pod[] {
    const pods = this.#nominated.get(nodeName);
    return pods === undefined ? NONE : [...pods.values()];
  }

  nominationOf(pod: Pod): string | undefined {
    return this.#nominations.get(uidOf(pod));
  }

  #place(pod: Pod, nodeName: string): void {
    const uid = uidOf(pod);
    const before = this.#placed.get(uid);
    if (before !== undefined && before !== nodeName) this.#nodes.get(before)?.removePod(pod);
    this.#placed.set(uid, nodeName);
    this.#stateOf(nodeName).addPod(pod);
  }

  #stateOf(name: string): NodeState {
    let state = this.#nodes.get(name);
    if (state === undefined) {
      state = new NodeState(name);
      this.#nodes.set(name, state);
    }
    return state;
  }
}
