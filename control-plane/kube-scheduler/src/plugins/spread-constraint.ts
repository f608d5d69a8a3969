import { compileLabelSelector, type Selector } from "@coracle/apimachinery";
import type { Node, Pod, TopologySpreadConstraint } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { podAcceptsNode } from "../framework/node-selector.ts";
import { untoleratedTaint } from "../framework/tolerations.ts";

/** Finds what pods of a kind belong together when they carry no constraints of their own. */
export interface SpreadOwners {
  /** A selector that covers the pods of all services and controllers that `pod` belongs to; undefined for loners. */
  selectorOf(pod: Pod): LabelSelector | undefined;
}

/** What the configuration may say. */
export interface PodTopologySpreadArgs {
  /** For pods without constraints of their own; absent: nodes and zones are preferred to be even. */
  readonly defaultConstraints?: readonly TopologySpreadConstraint[] | undefined;
  readonly defaultingType?: "System" | "List" | undefined;
}

export const HOSTNAME = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";
/** Applied (as wishes only) to pods without constraints: spread over nodes and zones. */
const SYSTEM_DEFAULTS: readonly TopologySpreadConstraint[] = [
  { topologyKey: HOSTNAME, maxSkew: 3, whenUnsatisfiable: "ScheduleAnyway" },
  { topologyKey: ZONE, maxSkew: 5, whenUnsatisfiable: "ScheduleAnyway" },
];

/** A constraint, ready to be asked. */
export interface Constraint {
  readonly key: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly selects: Selector;
  /** Whether a pod that is there counts. A selector that says nothing selects whom it is asked about, and counts nobody. */
  readonly countsPod: (labels: Readonly<Record<string, string>>) => boolean;
  /** Whether a node takes part in the count. */
  readonly counts: (node: Node) => boolean;
}

/** Constraints of a pod of one strength. */
export interface ConstraintSet {
  readonly constraints: readonly Constraint[];
  /** Nodes without the labels of all constraints take no part. */
  readonly needsAllLabels: boolean;
}

/** Which constraints count for a pod. */
export interface ConstraintSource {
  of(pod: Pod, when: "DoNotSchedule" | "ScheduleAnyway"): ConstraintSet;
  /** Text for what the constraints of the pod depend on beside its spec and labels. */
  key(pod: Pod): string;
  hasAny(pod: Pod): boolean;
}

/** Reads constraints from pods, or takes the default ones. */
export function createConstraintSource(owners: SpreadOwners, args: PodTopologySpreadArgs = {}): ConstraintSource {
  const isSystem = args.defaultingType !== "List";
  const defaults = isSystem ? SYSTEM_DEFAULTS : (args.defaultConstraints ?? []);
  const hasOwn = (pod: Pod): boolean => (pod.spec.topologySpreadConstraints ?? []).length > 0;
  const selectorOf = (pod: Pod): LabelSelector | undefined =>
    defaults.length === 0 || hasOwn(pod) ? undefined : owners.selectorOf(pod);
  return {
    of(pod, when) {
      const needsAllLabels = hasOwn(pod) || !isSystem;
      const selector = selectorOf(pod);
      const all = hasOwn(pod)
        ? (pod.spec.topologySpreadConstraints ?? [])
        : selector === undefined
          ? []
          : defaults.map((each) => ({ ...each, labelSelector: selector }));
      const constraints = all.filter((each) => each.whenUnsatisfiable === when).map((each) => compile(each, pod));
      return { constraints, needsAllLabels };
    },
    key(pod) {
      const selector = selectorOf(pod);
      return selector === undefined ? "" : JSON.stringify(selector);
    },
    hasAny: (pod) => hasOwn(pod) || selectorOf(pod) !== undefined,
  };
}

function compile(constraint: TopologySpreadConstraint, pod: Pod): Constraint {
  const honorsAffinity = constraint.nodeAffinityPolicy !== "Ignore";
  const honorsTaints = constraint.nodeTaintsPolicy === "Honor";
  const selector = withMatchLabelKeys(constraint, pod);
  const selects = compileLabelSelector(selector);
  const isEmpty =
    Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0;
  return {
    key: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    selects,
    countsPod: (labels) => !isEmpty && selects.matches(labels),
    counts: (node) =>
      (!honorsAffinity || podAcceptsNode(pod, node)) &&
      (!honorsTaints ||
        untoleratedTaint(node.spec.taints, pod.spec.tolerations, ["NoSchedule", "NoExecute"]) === undefined),
  };
}

function withMatchLabelKeys(
  { labelSelector, matchLabelKeys }: TopologySpreadConstraint,
  pod: Pod,
): LabelSelector | undefined {
  if (matchLabelKeys === undefined || matchLabelKeys.length === 0) return labelSelector;
  const added = matchLabelKeys.flatMap((key) => {
    const value = pod.metadata.labels?.[key];
    return value === undefined ? [] : [{ key, operator: "In", values: [value] }];
  });
  return { ...labelSelector, matchExpressions: [...(labelSelector?.matchExpressions ?? []), ...added] };
}

/** Whether the node has the labels of all constraints. */
export function hasLabels(node: Node, constraints: readonly Constraint[]): boolean {
  const labels = node.metadata.labels ?? {};
  return constraints.every(({ key }) => labels[key] !== undefined);
}
