import { compileLabelSelector, type Selector } from "@coracle/apimachinery";
import type { Pod, PodAffinityTerm } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { MAX_NODE_SCORE, type CycleState, type Plugin, type Snapshot } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";

const NAME = "InterPodAffinity";
/** What a required affinity of a pod already there adds to the score of a pod it would have liked. */
const HARD_AFFINITY_WEIGHT = 1;

interface Term {
  readonly key: string;
  readonly selects: Selector;
  readonly inNamespace: (namespace: string) => boolean;
  readonly weight: number;
}

function compile(term: PodAffinityTerm, owner: Pod, weight = 0): Term {
  const namespaces = new Set(term.namespaces ?? []);
  if (namespaces.size === 0 && term.namespaceSelector === undefined) namespaces.add(owner.metadata.namespace ?? "");
  const isAny = term.namespaceSelector !== undefined && isEmptySelector(term.namespaceSelector);
  const bySelector =
    term.namespaceSelector === undefined || isAny ? undefined : compileLabelSelector(term.namespaceSelector);
  const keys = (names: readonly string[] | undefined, operator: "In" | "NotIn") =>
    (names ?? []).flatMap((key) => {
      const value = owner.metadata.labels?.[key];
      return value === undefined ? [] : [{ key, operator, values: [value] }];
    });
  const added = [...keys(term.matchLabelKeys, "In"), ...keys(term.mismatchLabelKeys, "NotIn")];
  const selector: LabelSelector | undefined =
    added.length === 0
      ? term.labelSelector
      : { ...term.labelSelector, matchExpressions: [...(term.labelSelector?.matchExpressions ?? []), ...added] };
  return {
    key: term.topologyKey,
    selects: compileLabelSelector(selector),
    // A namespace is known here by its name label alone, which every namespace carries.
    inNamespace: (namespace) =>
      isAny || namespaces.has(namespace) || bySelector?.matches({ "kubernetes.io/metadata.name": namespace }) === true,
    weight,
  };
}

const isEmptySelector = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;

const matches = (term: Term, pod: Pod): boolean =>
  term.inNamespace(pod.metadata.namespace ?? "") && term.selects.matches(pod.metadata.labels ?? {});

const requiredAffinity = (pod: Pod): Term[] =>
  (pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) =>
    compile(term, pod),
  );
const requiredAntiAffinity = (pod: Pod): Term[] =>
  (pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) =>
    compile(term, pod),
  );
const preferredTerms = (pod: Pod): Term[] => [
  ...(pod.spec.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
    ({ weight, podAffinityTerm }) => compile(podAffinityTerm, pod, weight),
  ),
  ...(pod.spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
    ({ weight, podAffinityTerm }) => compile(podAffinityTerm, pod, -weight),
  ),
];

/** Topology `KEY=VALUE` → count or weight. */
type Topologies = Map<string, number>;
const at = (node: NodeState, key: string): string | undefined => {
  const value = node.node?.metadata.labels?.[key];
  return value === undefined ? undefined : `${key}=${value}`;
};
const bump = (map: Topologies, key: string | undefined, by: number): void => {
  if (key !== undefined) map.set(key, (map.get(key) ?? 0) + by);
};

interface FilterState {
  readonly affinity: readonly Term[];
  readonly antiAffinity: readonly Term[];
  readonly affinityCounts: readonly Topologies[];
  readonly antiAffinityCounts: readonly Topologies[];
  /** Topologies where some pod there does not want this one. */
  readonly unwanted: Topologies;
  readonly matchesItself: boolean;
}

/** Pods that want, or do not want, to be near others. */
export const interPodAffinity: Plugin = {
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
    const affinity = requiredAffinity(pod);
    const antiAffinity = requiredAntiAffinity(pod);
    const affinityCounts: Topologies[] = affinity.map(() => new Map());
    const antiAffinityCounts: Topologies[] = antiAffinity.map(() => new Map());
    const unwanted: Topologies = new Map();
    const looksAround = affinity.length > 0 || antiAffinity.length > 0;
    for (const node of snapshot.nodes()) {
      if (!looksAround && node.waryPodCount === 0) continue; // nobody here minds
      for (const other of node.pods) {
        affinity.forEach(
          (term, i) => matches(term, other) && bump(affinityCounts[i] ?? new Map(), at(node, term.key), 1),
        );
        antiAffinity.forEach(
          (term, i) => matches(term, other) && bump(antiAffinityCounts[i] ?? new Map(), at(node, term.key), 1),
        );
        if (other.spec.affinity?.podAntiAffinity === undefined) continue;
        for (const term of requiredAntiAffinity(other)) if (matches(term, pod)) bump(unwanted, at(node, term.key), 1);
      }
    }
    if (affinity.length === 0 && antiAffinity.length === 0 && unwanted.size === 0) return { skip: true };
    const matchesItself = affinity.every((term) => matches(term, pod));
    state.set(NAME, {
      affinity,
      antiAffinity,
      affinityCounts,
      antiAffinityCounts,
      unwanted,
      matchesItself,
    } satisfies FilterState);
    return undefined;
  },

  filter(state, _pod, node) {
    const kept = state.get(NAME) as FilterState;
    if (!satisfiesAffinity(kept, node)) return { reasons: ["node(s) didn't match pod affinity rules"], isFinal: true };
    const clashes = kept.antiAffinity.some(
      (term, i) => (kept.antiAffinityCounts[i]?.get(at(node, term.key) ?? "") ?? 0) > 0,
    );
    if (clashes) return { reasons: ["node(s) didn't match pod anti-affinity rules"], isFinal: false };
    const labels = node.node?.metadata.labels ?? {};
    for (const key of kept.unwanted.keys()) {
      const equals = key.indexOf("=");
      if (labels[key.slice(0, equals)] === key.slice(equals + 1)) {
        return { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"], isFinal: false };
      }
    }
    return undefined;
  },

  preScore(state, pod, _nodes, snapshot: Snapshot) {
    const own = preferredTerms(pod);
    const weights: Topologies = new Map();
    for (const node of snapshot.nodes()) {
      for (const other of node.pods) {
        for (const term of own) if (matches(term, other)) bump(weights, at(node, term.key), term.weight);
        if (other.spec.affinity === undefined) continue;
        for (const term of preferredTerms(other))
          if (matches(term, pod)) bump(weights, at(node, term.key), term.weight);
        for (const term of requiredAffinity(other))
          if (matches(term, pod)) bump(weights, at(node, term.key), HARD_AFFINITY_WEIGHT);
      }
    }
    if (weights.size === 0) return { skip: true };
    state.set(`${NAME}/score`, weights);
    return { skip: false };
  },

  score(state: CycleState, _pod, node) {
    let sum = 0;
    for (const [key, weight] of state.get(`${NAME}/score`) as Topologies) {
      const equals = key.indexOf("=");
      if (node.node?.metadata.labels?.[key.slice(0, equals)] === key.slice(equals + 1)) sum += weight;
    }
    return sum;
  },

  normalize(_state, _pod, scores) {
    const max = Math.max(...scores);
    const min = Math.min(...scores);
    for (let i = 0; i < scores.length; i++) {
      scores[i] = max === min ? 0 : Math.floor((MAX_NODE_SCORE * ((scores[i] ?? 0) - min)) / (max - min));
    }
  },
};

function satisfiesAffinity(kept: FilterState, node: NodeState): boolean {
  if (kept.affinity.length === 0) return true;
  if (kept.affinity.some((term) => at(node, term.key) === undefined)) return false;
  if (kept.affinity.every((term, i) => (kept.affinityCounts[i]?.get(at(node, term.key) ?? "") ?? 0) > 0)) return true;
  // The first pod of a group that wants to be together may go anywhere.
  return kept.matchesItself && kept.affinityCounts.every((counts) => counts.size === 0);
}
