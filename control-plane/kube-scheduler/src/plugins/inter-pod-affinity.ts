import type { Node, Pod } from "@coracle/api/core/v1";
import { termMatches, termsOf, type NamespaceLookup, type PodTerms, type Term } from "../framework/affinity-term.ts";
import {
  isPod,
  MAX_NODE_SCORE,
  type ClusterChange,
  type CycleState,
  type Plugin,
  type Snapshot,
  type Unfit,
} from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";
import { affinityPart } from "./affinity-part.ts";

const NAME = "InterPodAffinity";

/** What the configuration may say. */
export interface InterPodAffinityArgs {
  /** What a required affinity of a pod already there adds to the score of a pod it would have liked; default 1. */
  readonly hardPodAffinityWeight?: number | undefined;
  /** What pods already there prefer does not matter to pods that prefer nothing. */
  readonly ignorePreferredTermsOfExistingPods?: boolean | undefined;
}

const UNFIT: Readonly<Record<"affinity" | "antiAffinity" | "unwanted", Unfit>> = {
  affinity: { reasons: ["node(s) didn't match pod affinity rules"], isFinal: true },
  antiAffinity: { reasons: ["node(s) didn't match pod anti-affinity rules"], isFinal: false },
  unwanted: { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"], isFinal: false },
};

const matches = (term: Term, pod: Pod): boolean => termMatches(term, pod.metadata.namespace, pod.metadata.labels);

/** Topology key → value → count or weight. */
type Topologies = Map<string, Map<string, number>>;
const labelOf = (node: NodeState, key: string): string | undefined => node.node?.metadata.labels?.[key];

function bump(topologies: Topologies, node: NodeState, key: string, by: number): void {
  const value = labelOf(node, key);
  if (value === undefined) return;
  let values = topologies.get(key);
  if (values === undefined) topologies.set(key, (values = new Map()));
  values.set(value, (values.get(value) ?? 0) + by);
}

function countAt(topologies: Topologies | undefined, node: NodeState, key: string): number {
  const value = labelOf(node, key);
  return value === undefined ? 0 : (topologies?.get(key)?.get(value) ?? 0);
}

interface FilterState {
  readonly own: PodTerms;
  /** Pods that match all terms of required affinity. */
  readonly affinityCounts: Topologies;
  readonly antiAffinityCounts: readonly Topologies[];
  /** Topologies where some pod there does not want this one. */
  readonly unwanted: Topologies;
  readonly matchesItself: boolean;
}

const NO_NAMESPACES: NamespaceLookup = { namespaceLabels: () => undefined };

/** Pods that want, or do not want, to be near others. */
export function createInterPodAffinity(
  args: InterPodAffinityArgs = {},
  namespaces: NamespaceLookup = NO_NAMESPACES,
): Plugin {
  const { hardPodAffinityWeight = 1, ignorePreferredTermsOfExistingPods: ignoresOthers = false } = args;
  return {
    name: NAME,
    events: [
      "node-added",
      "node-labels-changed",
      "assigned-pod-added",
      "assigned-pod-labels-changed",
      "assigned-pod-deleted",
      "pod-labels-changed",
    ],
    isHelpful: (pod, change) => mayBeNearNow(pod, change, namespaces),

    preFilter(state, pod, snapshot) {
      const own = termsOf(pod, snapshot);
      const affinityCounts: Topologies = new Map();
      const antiAffinityCounts: Topologies[] = own.antiAffinity.map(() => new Map());
      const unwanted: Topologies = new Map();
      const looksAround = own.affinity.length > 0 || own.antiAffinity.length > 0;
      for (const node of snapshot.nodes()) {
        if (!looksAround && node.waryPodCount === 0) continue; // nobody here minds
        for (const other of node.pods) {
          if (own.affinity.length > 0 && own.affinity.every((term) => matches(term, other)))
            for (const { key } of own.affinity) bump(affinityCounts, node, key, 1);
          own.antiAffinity.forEach((term, i) => {
            if (matches(term, other)) bump(antiAffinityCounts[i] ?? new Map(), node, term.key, 1);
          });
          if (other.spec.affinity?.podAntiAffinity === undefined) continue;
          for (const term of termsOf(other, snapshot).antiAffinity)
            if (matches(term, pod)) bump(unwanted, node, term.key, 1);
        }
      }
      if (!looksAround && unwanted.size === 0) return { skip: true };
      const matchesItself = own.affinity.every((term) => matches(term, pod));
      const filterState = { own, affinityCounts, antiAffinityCounts, unwanted, matchesItself };
      state.set(NAME, filterState satisfies FilterState);
      return undefined;
    },

    filter(state, _pod, node) {
      const { own, antiAffinityCounts, unwanted } = state.get(NAME) as FilterState;
      if (!satisfiesAffinity(state.get(NAME) as FilterState, node)) return UNFIT.affinity;
      if (own.antiAffinity.some(({ key }, i) => countAt(antiAffinityCounts[i], node, key) > 0))
        return UNFIT.antiAffinity;
      for (const key of unwanted.keys()) if (countAt(unwanted, node, key) > 0) return UNFIT.unwanted;
      return undefined;
    },

    preScore(state, pod, _nodes, snapshot: Snapshot) {
      const own = termsOf(pod, snapshot).preferred;
      if (ignoresOthers && own.length === 0) return { skip: true };
      const weights: Topologies = new Map();
      for (const node of snapshot.nodes()) {
        for (const other of node.pods) {
          for (const term of own) if (matches(term, other)) bump(weights, node, term.key, term.weight);
          if (other.spec.affinity === undefined) continue;
          const theirs = termsOf(other, snapshot);
          for (const term of theirs.preferred) if (matches(term, pod)) bump(weights, node, term.key, term.weight);
          if (hardPodAffinityWeight === 0) continue;
          for (const term of theirs.affinity)
            if (matches(term, pod)) bump(weights, node, term.key, hardPodAffinityWeight);
        }
      }
      if (weights.size === 0) return { skip: true };
      state.set(`${NAME}/score`, weights);
      return { skip: false };
    },

    score(state: CycleState, _pod, node) {
      const weights = state.get(`${NAME}/score`) as Topologies;
      let sum = 0;
      for (const key of weights.keys()) sum += countAt(weights, node, key);
      return sum;
    },

    normalize(_state, _pod, scores) {
      const max = scores.reduce((one, other) => Math.max(one, other), -Infinity);
      const min = scores.reduce((one, other) => Math.min(one, other), Infinity);
      for (let i = 0; i < scores.length; i++)
        scores[i] = max === min ? 0 : Math.floor(MAX_NODE_SCORE * (((scores[i] ?? 0) - min) / (max - min)));
    },

    columns: {
      isMoving: ({ spec: { affinity } }, { groups }) =>
        affinity?.podAffinity !== undefined || affinity?.podAntiAffinity !== undefined || groups.withTerms.size > 0,
      movingPart: (pod, state) => affinityPart(pod, state, { hardPodAffinityWeight, ignoresOthers }, UNFIT),
    },
  };
}

function satisfiesAffinity({ own, affinityCounts, matchesItself }: FilterState, node: NodeState): boolean {
  if (own.affinity.some(({ key }) => labelOf(node, key) === undefined)) return false;
  if (own.affinity.every(({ key }) => countAt(affinityCounts, node, key) > 0)) return true;
  // The first pod of a group that wants to be together may go anywhere.
  return matchesItself && affinityCounts.size === 0;
}

/** Whether a change brings who was wanted, or takes away who was not. */
function mayBeNearNow(pod: Pod, { event, old, current }: ClusterChange, namespaces: NamespaceLookup): boolean {
  if (event === "pod-labels-changed") return isPod(pod, current);
  const { affinity, antiAffinity } = termsOf(pod, namespaces);
  if (event.startsWith("node-")) {
    if (old === undefined && (current === undefined || antiAffinity.length > 0)) return true;
    const valueOn = (node: unknown, key: string): string | undefined =>
      (node as Node | undefined)?.metadata.labels?.[key];
    const differs = ({ key }: Term): boolean => valueOn(old, key) !== valueOn(current, key);
    return (
      affinity.some((term) => differs(term) && valueOn(current, term.key) !== undefined) ||
      antiAffinity.some((term) => differs(term) && valueOn(old, term.key) !== undefined) ||
      // Whom others keep away may have been kept away there.
      (affinity.length === 0 && antiAffinity.length === 0)
    );
  }
  const [before, now] = [old as Pod | undefined, current as Pod | undefined];
  const isWanted = (other: Pod | undefined): boolean =>
    other !== undefined && affinity.length > 0 && affinity.every((term) => matches(term, other));
  if (!isWanted(before) && isWanted(now)) return true;
  if (before === undefined) return false;
  const isGone = (term: Term): boolean => matches(term, before) && (now === undefined || !matches(term, now));
  if (antiAffinity.some(isGone)) return true;
  // It may have been the other that did not want to be near.
  return now === undefined && termsOf(before, namespaces).antiAffinity.some((term) => matches(term, pod));
}
