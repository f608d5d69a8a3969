import type { Node, Pod } from "@coracle/api/core/v1";
import {
  isPod,
  MAX_NODE_SCORE,
  type ClusterChange,
  type Plugin,
  type Snapshot,
  type Unfit,
} from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";
import {
  createConstraintSource,
  hasLabels,
  HOSTNAME,
  type Constraint,
  type ConstraintSet,
  type PodTopologySpreadArgs,
  type SpreadOwners,
} from "./spread-constraint.ts";
import { spreadPart } from "./spread-part.ts";

export type { SpreadOwners } from "./spread-constraint.ts";

const NAME = "PodTopologySpread";

const MISSING_LABEL: Unfit = {
  reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
  isFinal: true,
};
const SKEWED: Unfit = { reasons: ["node(s) didn't match pod topology spread constraints"], isFinal: false };

interface FilterState {
  readonly constraint: Constraint;
  /** Pods that match, by topology value. */
  readonly matches: ReadonlyMap<string, number>;
  readonly minimum: number;
  readonly selfMatch: 0 | 1;
}

interface ScoreState {
  readonly constraint: Constraint;
  /** By topology value, or by node where each is a domain of its own. */
  readonly matches: ReadonlyMap<string, number>;
  /** Rarer domains weigh less: log of their number. */
  readonly weight: number;
}

interface Scoring {
  readonly set: ConstraintSet;
  readonly states: readonly ScoreState[];
}

function countMatches(node: NodeState, constraint: Constraint, namespace: string | undefined): number {
  let count = 0;
  for (const other of node.pods) {
    if (other.metadata.namespace !== namespace || other.metadata.deletionTimestamp !== undefined) continue;
    if (constraint.countsPod(other.metadata.labels ?? {})) count++;
  }
  return count;
}

/** Spreads pods over topology domains: as a rule (DoNotSchedule) or as a wish (ScheduleAnyway, and by default). */
export function createPodTopologySpread(owners: SpreadOwners, args?: PodTopologySpreadArgs): Plugin {
  const source = createConstraintSource(owners, args);
  return {
    name: NAME,
    events: [
      "node-added",
      "node-deleted",
      "node-labels-changed",
      "node-taints-changed",
      "assigned-pod-added",
      "assigned-pod-labels-changed",
      "assigned-pod-deleted",
      "pod-labels-changed",
      "pod-tolerations-changed",
    ],
    isHelpful: (pod, change) => maySpreadNow(pod, change, source.of(pod, "DoNotSchedule").constraints),

    preFilter(state, pod, snapshot) {
      const { constraints } = source.of(pod, "DoNotSchedule");
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
        if (value === undefined) return MISSING_LABEL;
        if ((matches.get(value) ?? 0) + selfMatch - minimum > constraint.maxSkew) return SKEWED;
      }
      return undefined;
    },

    preScore(state, pod, nodes, snapshot) {
      const set = source.of(pod, "ScheduleAnyway");
      if (set.constraints.length === 0) return { skip: true };
      state.set(`${NAME}/score`, { set, states: scoreStates(set, pod, nodes, snapshot) } satisfies Scoring);
      return { skip: false };
    },

    score(state, _pod, node) {
      let sum = 0;
      for (const { constraint, matches, weight } of (state.get(`${NAME}/score`) as Scoring).states) {
        const value = node.node?.metadata.labels?.[constraint.key];
        if (value === undefined) continue;
        sum += (matches.get(constraint.key === HOSTNAME ? node.name : value) ?? 0) * weight + (constraint.maxSkew - 1);
      }
      return Math.round(sum);
    },

    normalize(state, _pod, scores, nodes) {
      const { set } = state.get(`${NAME}/score`) as Scoring;
      const takesPart = nodes.map((node) => isCompared(set, node));
      let max = 0;
      let min = Infinity;
      for (const [i, score] of scores.entries()) {
        if (takesPart[i] !== true) continue;
        max = Math.max(max, score);
        min = Math.min(min, score);
      }
      for (let i = 0; i < scores.length; i++) {
        if (takesPart[i] !== true) scores[i] = 0;
        else
          scores[i] = max === 0 ? MAX_NODE_SCORE : Math.floor((MAX_NODE_SCORE * (max + min - (scores[i] ?? 0))) / max);
      }
    },

    columns: {
      key: (pod) => source.key(pod),
      isMoving: (pod) => source.hasAny(pod),
      movingPart: (pod, state) => spreadPart(pod, state, source, { missing: MISSING_LABEL, skewed: SKEWED }),
    },
  };
}

const isCompared = ({ needsAllLabels, constraints }: ConstraintSet, { node }: NodeState): boolean =>
  node !== undefined && (!needsAllLabels || hasLabels(node, constraints));

function filterState(constraint: Constraint, all: readonly Constraint[], pod: Pod, snapshot: Snapshot): FilterState {
  const matches = new Map<string, number>();
  for (const node of snapshot.nodes()) {
    const labels = node.node?.metadata.labels ?? {};
    // Only nodes that have the labels of all constraints take part.
    if (node.node === undefined || !hasLabels(node.node, all) || !constraint.counts(node.node)) continue;
    const value = labels[constraint.key] ?? "";
    matches.set(value, (matches.get(value) ?? 0) + countMatches(node, constraint, pod.metadata.namespace));
  }
  let minimum = Infinity;
  for (const count of matches.values()) minimum = Math.min(minimum, count);
  if (matches.size < constraint.minDomains || minimum === Infinity) minimum = 0;
  return { constraint, matches, minimum, selfMatch: constraint.selects.matches(pod.metadata.labels ?? {}) ? 1 : 0 };
}

function scoreStates(set: ConstraintSet, pod: Pod, nodes: readonly NodeState[], snapshot: Snapshot): ScoreState[] {
  const compared = nodes.filter((node) => isCompared(set, node));
  return set.constraints.map((constraint) => {
    const valueOf = ({ node }: NodeState): string | undefined => node?.metadata.labels?.[constraint.key];
    const matches = new Map<string, number>();
    if (constraint.key === HOSTNAME) {
      for (const node of compared) matches.set(node.name, countMatches(node, constraint, pod.metadata.namespace));
      return { constraint, matches, weight: Math.log(compared.length + 2) };
    }
    // Nodes without the label are, where they take part, one more domain.
    for (const node of compared) matches.set(valueOf(node) ?? "", 0);
    for (const node of snapshot.nodes()) {
      const value = valueOf(node);
      const before = value === undefined ? undefined : matches.get(value);
      if (value === undefined || before === undefined || node.node === undefined) continue;
      if (!isCompared(set, node) || !constraint.counts(node.node)) continue;
      matches.set(value, before + countMatches(node, constraint, pod.metadata.namespace));
    }
    return { constraint, matches, weight: Math.log(matches.size + 2) };
  });
}

/** Whether a change moves a count that the pod's constraints look at, or the domains that are counted. */
function maySpreadNow(pod: Pod, { event, old, current }: ClusterChange, constraints: readonly Constraint[]): boolean {
  if (event.startsWith("node-")) {
    const takesPart = (node: Node | undefined): boolean => node !== undefined && hasLabels(node, constraints);
    const [before, now] = [old as Node | undefined, current as Node | undefined];
    if (takesPart(before) !== takesPart(now)) return true;
    if (before === undefined || now === undefined || !takesPart(now)) return false;
    return (
      event === "node-taints-changed" ||
      constraints.some(({ key }) => before.metadata.labels?.[key] !== now.metadata.labels?.[key])
    );
  }
  const changed = (current ?? old) as Pod | undefined;
  if (changed === undefined) return true;
  if (event.startsWith("pod-") ? !isPod(pod, changed) : changed.metadata.namespace !== pod.metadata.namespace)
    return false;
  if (event === "pod-tolerations-changed")
    return pod.spec.topologySpreadConstraints?.some(({ nodeTaintsPolicy }) => nodeTaintsPolicy === "Honor") === true;
  const counts = (object: Pod | undefined, { countsPod }: Constraint): boolean =>
    object !== undefined && countsPod(object.metadata.labels ?? {});
  return constraints.some((each) => counts(old as Pod | undefined, each) !== counts(current as Pod | undefined, each));
}
