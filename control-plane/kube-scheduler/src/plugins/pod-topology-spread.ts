import { compileLabelSelector, type Selector } from "@coracle/apimachinery";
import type { Node, Pod, TopologySpreadConstraint } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { podAcceptsNode } from "../framework/node-selector.ts";
import { MAX_NODE_SCORE, type Plugin, type Snapshot } from "../framework/plugin.ts";
import { untoleratedTaint } from "../framework/tolerations.ts";
import type { NodeState } from "../state/node-state.ts";

const NAME = "PodTopologySpread";

/** Finds what pods of a kind belong together when they carry no constraints of their own. */
export interface SpreadOwners {
  /** A selector that covers the pods of all services and controllers that `pod` belongs to; undefined for loners. */
  selectorOf(pod: Pod): LabelSelector | undefined;
}

const HOSTNAME = "kubernetes.io/hostname";
const ZONE = "topology.kubernetes.io/zone";
/** Applied (as wishes only) to pods without constraints: spread over nodes and zones. */
const SYSTEM_DEFAULTS = [
  { topologyKey: HOSTNAME, maxSkew: 3 },
  { topologyKey: ZONE, maxSkew: 5 },
] as const;

interface Constraint {
  readonly key: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly selects: Selector;
  /** Whether a node takes part in the count. */
  readonly counts: (node: Node) => boolean;
}

interface FilterState {
  readonly constraint: Constraint;
  /** Pods that match, by topology value. */
  readonly matches: ReadonlyMap<string, number>;
  readonly minimum: number;
  readonly selfMatch: 0 | 1;
}

function compile(constraint: TopologySpreadConstraint, pod: Pod): Constraint {
  const selector = withMatchLabelKeys(constraint, pod);
  const honorsAffinity = constraint.nodeAffinityPolicy !== "Ignore";
  const honorsTaints = constraint.nodeTaintsPolicy === "Honor";
  return {
    key: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    selects: compileLabelSelector(selector),
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

const constraintsOf = (pod: Pod, when: string): Constraint[] =>
  (pod.spec.topologySpreadConstraints ?? [])
    .filter((constraint) => constraint.whenUnsatisfiable === when)
    .map((constraint) => compile(constraint, pod));

function countMatches(node: NodeState, constraint: Constraint, namespace: string | undefined): number {
  let count = 0;
  for (const other of node.pods) {
    if (other.metadata.namespace !== namespace || other.metadata.deletionTimestamp !== undefined) continue;
    if (constraint.selects.matches(other.metadata.labels ?? {})) count++;
  }
  return count;
}

/** Spreads pods over topology domains: as a rule (DoNotSchedule) or as a wish (ScheduleAnyway, and by default). */
export function createPodTopologySpread(owners: SpreadOwners): Plugin {
  return {
    name: NAME,
    events: [
      "node-added",
      "node-changed",
      "assigned-pod-added",
      "assigned-pod-changed",
      "assigned-pod-deleted",
      "pod-changed",
    ],

    preFilter(state, pod, snapshot) {
      const constraints = constraintsOf(pod, "DoNotSchedule");
      if (constraints.length === 0) return { skip: true };
      state.set(
        NAME,
        constraints.map((constraint) => filterState(constraint, constraints, pod, snapshot)),
      );
      return undefined;
    },

    filter(state, _pod, { node }) {
      for (const { constraint, matches, minimum, selfMatch } of state.get(NAME) as readonly FilterState[]) {
        const value = node?.metadata.labels?.[constraint.key];
        if (value === undefined) {
          return {
            reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
            isFinal: true,
          };
        }
        if ((matches.get(value) ?? 0) + selfMatch - minimum > constraint.maxSkew) {
          return { reasons: ["node(s) didn't match pod topology spread constraints"], isFinal: false };
        }
      }
      return undefined;
    },

    preScore(state, pod, nodes, snapshot) {
      const own = constraintsOf(pod, "ScheduleAnyway");
      const hasOwn = (pod.spec.topologySpreadConstraints ?? []).length > 0;
      const constraints = own.length > 0 || hasOwn ? own : defaultConstraints(pod, owners);
      if (constraints.length === 0) return { skip: true };
      state.set(`${NAME}/score`, scoreStates(constraints, pod, nodes, snapshot, own.length > 0));
      return { skip: false };
    },

    score(state, _pod, node) {
      let sum = 0;
      for (const { constraint, matches, weight } of state.get(`${NAME}/score`) as readonly ScoreState[]) {
        const value = node.node?.metadata.labels?.[constraint.key];
        if (value !== undefined) sum += (matches.get(value) ?? 0) * weight + (constraint.maxSkew - 1);
      }
      return Math.round(sum);
    },

    normalize(state, _pod, scores, nodes) {
      const keys = (state.get(`${NAME}/score`) as readonly ScoreState[])
        .filter((entry) => entry.isRequired)
        .map((entry) => entry.constraint.key);
      const takesPart = nodes.map((node) => keys.every((key) => node.node?.metadata.labels?.[key] !== undefined));
      const valid = scores.filter((_, i) => takesPart[i]);
      const max = Math.max(0, ...valid);
      const min = valid.length === 0 ? 0 : Math.min(...valid);
      for (let i = 0; i < scores.length; i++) {
        if (takesPart[i] !== true) scores[i] = 0;
        else
          scores[i] = max === 0 ? MAX_NODE_SCORE : Math.floor((MAX_NODE_SCORE * (max + min - (scores[i] ?? 0))) / max);
      }
    },
  };
}

function filterState(constraint: Constraint, all: readonly Constraint[], pod: Pod, snapshot: Snapshot): FilterState {
  const matches = new Map<string, number>();
  for (const node of snapshot.nodes()) {
    const labels = node.node?.metadata.labels ?? {};
    // Only nodes that have the labels of all constraints take part.
    if (node.node === undefined || !all.every(({ key }) => key in labels) || !constraint.counts(node.node)) continue;
    const value = labels[constraint.key] ?? "";
    matches.set(value, (matches.get(value) ?? 0) + countMatches(node, constraint, pod.metadata.namespace));
  }
  const minimum = matches.size < constraint.minDomains ? 0 : Math.min(...matches.values());
  return {
    constraint,
    matches,
    minimum: Number.isFinite(minimum) ? minimum : 0,
    selfMatch: constraint.selects.matches(pod.metadata.labels ?? {}) ? 1 : 0,
  };
}

interface ScoreState {
  readonly constraint: Constraint;
  readonly matches: ReadonlyMap<string, number>;
  /** Rarer domains weigh less: log of their number. */
  readonly weight: number;
  /** Nodes without the label take no part. */
  readonly isRequired: boolean;
}

function scoreStates(
  constraints: readonly Constraint[],
  pod: Pod,
  nodes: readonly NodeState[],
  snapshot: Snapshot,
  isRequired: boolean,
): ScoreState[] {
  return constraints.map((constraint) => {
    const matches = new Map<string, number>();
    const wanted = new Set(nodes.map((node) => node.node?.metadata.labels?.[constraint.key]));
    for (const node of snapshot.nodes()) {
      const value = node.node?.metadata.labels?.[constraint.key];
      if (node.node === undefined || value === undefined || !wanted.has(value) || !constraint.counts(node.node))
        continue;
      matches.set(value, (matches.get(value) ?? 0) + countMatches(node, constraint, pod.metadata.namespace));
    }
    const domains = constraint.key === HOSTNAME ? nodes.length : matches.size;
    return { constraint, matches, weight: Math.log(domains + 2), isRequired };
  });
}

function defaultConstraints(pod: Pod, owners: SpreadOwners): Constraint[] {
  const selector = owners.selectorOf(pod);
  if (selector === undefined) return [];
  return SYSTEM_DEFAULTS.map(({ topologyKey, maxSkew }) =>
    compile({ topologyKey, maxSkew, whenUnsatisfiable: "ScheduleAnyway", labelSelector: selector }, pod),
  );
}
