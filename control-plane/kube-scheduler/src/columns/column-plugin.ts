import type { Pod } from "@coracle/api/core/v1";
import type { Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { PodFacts } from "../state/pod-facts.ts";
import type { DomainTable } from "./domain-table.ts";
import type { PodGroup } from "./pod-groups.ts";

/** What a raw score counts, given the smallest and largest raw score among the nodes to choose from. */
export type Normalizer = (raw: number, min: number, max: number) => number;

/** What a plugin says about one node by itself. Answers are kept until the node changes. Members do without `this`. */
export interface NodePart {
  readonly kind: "node";
  /** Does not depend on the pods of the node. */
  readonly isStatic: boolean;
  /** The same object for the same answer, as far as possible. */
  readonly filter?: ((slot: number) => Unfit | undefined) | undefined;
  /** As `filter`, if pods that take `others` were there too. Goes with a `filter` that is not static. */
  readonly filterBeside?: ((slot: number, others: readonly PodFacts[]) => Unfit | undefined) | undefined;
  readonly score?: ((slot: number) => number) | undefined;
  /** Absent: the score counts as it is. Goes with static scores only. */
  readonly normalize?: Normalizer | undefined;
  /** Changes when answers change for another reason than the node. */
  version?(): number;
}

/** What a plugin says that depends on pods of other nodes. */
export interface MovingPart {
  readonly kind: "moving";
  /** Pods without terms of their own matter too. */
  readonly seesAllPods: boolean;
  /** Forgets all counts, and reads the nodes again. */
  reset(): void;
  /** What a pod of the group changes where it runs. */
  effectsOf(group: PodGroup): readonly Effect[];
  /** Nothing counted: neither filter nor score matter. */
  isIdle(): boolean;
  refusalAt(slot: number): Unfit | undefined;
  /** Leaves only fitting nodes at the front of the list, and says how many. Undefined: all fit. */
  narrow?(slots: Int32Array, count: number): number;
  /** Adds `weight` times the scores (0 to 100) of the nodes of the list. */
  addScores(slots: Int32Array, count: number, weight: number, totals: Float64Array): void;
}

/** A pod adds `weight` to a table where it runs. */
export interface Effect {
  readonly table: DomainTable;
  readonly weight: number;
}

/** The side of a plugin that works on columns. A plugin that has it is never asked node by node. */
export interface ColumnPlugin {
  /**
   * Text that is equal for pods about which the plugin says the same, beyond what every key has (spec and, where pods
   * look at pods, labels and namespace).
   */
  key?(pod: Pod): string;
  /** Whether the pod allows few nodes only, by name: then looking at these one by one is best. */
  narrows?(pod: Pod): boolean;
  /** What depends on the pod's spec (without its labels); undefined: nothing to say. */
  nodePart?(pod: Pod, state: ClusterState): NodePart | undefined;
  /** Whether the plugin will look at other pods for this one. */
  isMoving?(pod: Pod, state: ClusterState): boolean;
  /** What depends on other pods. */
  movingPart?(pod: Pod, state: ClusterState): MovingPart | undefined;
}
