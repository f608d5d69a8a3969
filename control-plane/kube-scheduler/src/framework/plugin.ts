import type { KubeObject } from "@coracle/api";
import type { Pod } from "@coracle/api/core/v1";
import type { ColumnPlugin } from "../columns/column-plugin.ts";
import type { Candidate } from "../preemption/candidate.ts";
import type { NodeState } from "../state/node-state.ts";

/** Of pods that have a node. */
export type AssignedPodEvent =
  | "assigned-pod-added"
  | "assigned-pod-labels-changed"
  | "assigned-pod-scaled-down"
  /** In another way. */
  | "assigned-pod-changed"
  | "assigned-pod-deleted";

/** Of the waiting pod itself. */
export type PodEvent =
  | "pod-labels-changed"
  | "pod-scaled-down"
  | "pod-gates-removed"
  | "pod-tolerations-changed"
  | "pod-claims-changed"
  /** In another way. */
  | "pod-changed";

/** What happened in the cluster: decides which waiting pods are worth another try. */
export type ClusterEvent =
  | "node-added"
  | "node-deleted"
  | "node-allocatable-changed"
  | "node-labels-changed"
  /** Also `spec.unschedulable`, which stands for a taint. */
  | "node-taints-changed"
  | "node-conditions-changed"
  | "node-annotations-changed"
  | "node-features-changed"
  | AssignedPodEvent
  | PodEvent
  | "volume-changed"
  | "volume-claim-changed"
  | "storage-class-changed"
  | "csi-node-changed"
  | "csi-driver-changed"
  | "csi-capacity-changed"
  | "volume-attachment-deleted"
  | "resource-claim-changed"
  | "resource-slice-changed"
  | "device-class-changed";

/** One change of the cluster, with the object before and after it, as far as there is one. */
export interface ClusterChange {
  readonly event: ClusterEvent;
  readonly old?: KubeObject | undefined;
  readonly current?: KubeObject | undefined;
}

/** Whether what changed is this very pod. */
export const isPod = (pod: Pod, object: KubeObject | undefined): boolean =>
  object?.metadata.uid !== undefined && object.metadata.uid === pod.metadata.uid;

/** The pod may be bound once other plugins let it, at the latest after so long; then it is rejected. */
export interface PermitWait {
  readonly waitMs: number;
}

/** A node does not fit, and why; `isFinal`: removing pods from it would not help. */
export interface Unfit {
  readonly reasons: readonly string[];
  readonly isFinal: boolean;
}

/** What plugins of one cycle keep for one another, by plugin name. */
export type CycleState = Map<string, unknown>;

/** Nodes of the cycle. */
export interface Snapshot {
  nodes(): readonly NodeState[];
  node(name: string): NodeState | undefined;
  /** Pods that wait for this node: room is being made for them there. */
  nominated(nodeName: string): readonly Pod[];
  /** The node where room is being made for the pod. */
  nominationOf(pod: Pod): string | undefined;
  /** Labels of a namespace. */
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
}

/** Where room can be made by removing `victims`, or why nowhere. */
export type PostFilterResult =
  | {
      readonly type: "nominated";
      readonly nodeName: string;
      readonly victims: readonly Pod[];
      /** Where else, and who would leave: where others have a say about it. */
      readonly candidates?: readonly Candidate[];
    }
  | {
      readonly type: "none";
      readonly message: string;
      /** Room is being made already: the pod's nomination stands. */
      readonly isUnderWay: boolean;
      /** No other plugin need be asked, and what others said does not count. */
      readonly isFailure?: boolean;
    };

/**
 * One scheduling plugin. The names of the members are upstream's extension points; a plugin has those it needs.
 * Members must be fast and must not throw for an ordinary "no": they return it.
 */
export interface Plugin {
  readonly name: string;
  /** Events after which a pod that this plugin rejected may fit. Absent: all. */
  readonly events?: readonly ClusterEvent[];
  /**
   * The same filter and score over columns of all nodes, for speed: what `preFilter` to `normalize` say is what counts,
   * columns must say the same. Absent: the plugin is asked node by node.
   */
  readonly columns?: ColumnPlugin;
  /** Of those events, whether this one may help this pod. Absent: each may. */
  isHelpful?(pod: Pod, change: ClusterChange): boolean;
  /** A reason to keep the pod out of the queue; undefined lets it in. */
  preEnqueue?(pod: Pod): string | undefined;
  /** Negative: `a` goes first. */
  queueSort?(a: QueuedPod, b: QueuedPod): number;
  /** Prepares for `filter`; may name the only nodes worth looking at, or reject the pod everywhere. */
  preFilter?(
    state: CycleState,
    pod: Pod,
    snapshot: Snapshot,
  ):
    | { readonly nodes?: ReadonlySet<string>; readonly rejected?: readonly string[]; readonly skip?: boolean }
    | undefined;
  filter?(state: CycleState, pod: Pod, node: NodeState): Unfit | undefined;
  /** Asked when no node fits: may room be made? Nodes that are not in `unfit` can never fit. Changes nothing itself. */
  postFilter?(pod: Pod, unfit: ReadonlyMap<string, Unfit>, snapshot: Snapshot, state?: CycleState): PostFilterResult;
  /** Prepares for `score`; `skip`: this plugin has nothing to say about the pod. */
  preScore?(
    state: CycleState,
    pod: Pod,
    nodes: readonly NodeState[],
    snapshot: Snapshot,
  ): { readonly skip: boolean } | undefined;
  /** Higher is better; 0 to 100 after `normalize`. */
  score?(state: CycleState, pod: Pod, node: NodeState): number;
  normalize?(state: CycleState, pod: Pod, scores: number[], nodes: readonly NodeState[]): void;
  /**
   * Sets something aside on the chosen node; undone by `unreserve`. Runs before the next pod is tried: what is set
   * aside before the first wait is seen by that one.
   */
  reserve?(state: CycleState, pod: Pod, nodeName: string): string | undefined | Promise<string | undefined>;
  unreserve?(state: CycleState, pod: Pod, nodeName: string): void;
  /** Rejects the pod by a reason, or holds it back until the plugin allows it through the waiting pods' list. */
  permit?(state: CycleState, pod: Pod, nodeName: string): Promise<string | PermitWait | undefined>;
  /** Whether `preBind` has anything to do for this pod. Absent: it always has. */
  needsPreBind?(state: CycleState, pod: Pod, nodeName: string): boolean;
  /** Prepares the node and waits until it is ready; bindings of other pods go on meanwhile. */
  preBind?(state: CycleState, pod: Pod, nodeName: string): Promise<void>;
  /** True: bound, no further bind plugin is asked. */
  bind?(state: CycleState, pod: Pod, nodeName: string): Promise<boolean>;
  postBind?(state: CycleState, pod: Pod, nodeName: string): void;
}

/** A pod on its way through the queue. */
export interface QueuedPod {
  readonly pod: Pod;
  /** When it first came, epoch milliseconds. */
  readonly since: number;
  /** Failed attempts so far. */
  readonly attempts: number;
  /** Plugins that rejected it last time. */
  readonly rejectedBy: ReadonlySet<string>;
  /** When it first could be tried (no gate held it), epoch milliseconds. */
  readonly admittedAt?: number;
  /** Attempts in a row that ended in an error, not in a "no". */
  readonly errors?: number;
}

/** Of two pods the one with more goes first, and may take the other's place. */
export const priorityOf = (pod: Pod): number => pod.spec.priority ?? 0;

export const MAX_NODE_SCORE = 100;

/** As `normalizeScores`, one score at a time. */
export function maxNormalizer(reverse: boolean): (raw: number, min: number, max: number) => number {
  return (raw, _min, max) => {
    if (max <= 0) return reverse ? MAX_NODE_SCORE : 0;
    const score = Math.floor((MAX_NODE_SCORE * raw) / max);
    return reverse ? MAX_NODE_SCORE - score : score;
  };
}

/** Scales raw scores to 0..100 by the largest; `reverse`: small raw scores are good. */
export function normalizeScores(scores: number[], reverse: boolean): void {
  const max = scores.reduce((one, other) => Math.max(one, other), 0);
  for (let i = 0; i < scores.length; i++) {
    const score = max === 0 ? (reverse ? MAX_NODE_SCORE : 0) : Math.floor((MAX_NODE_SCORE * (scores[i] ?? 0)) / max);
    scores[i] = max === 0 ? score : reverse ? MAX_NODE_SCORE - score : score;
  }
}
