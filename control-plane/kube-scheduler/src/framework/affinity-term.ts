import { compileLabelSelector, type Selector } from "@coracle/apimachinery";
import type { Pod, PodAffinityTerm } from "@coracle/api/core/v1";

type Labels = Readonly<Record<string, string>>;

/** What is known of namespaces: their labels. */
export interface NamespaceLookup {
  namespaceLabels(name: string): Labels | undefined;
}

/** A term of pod (anti-)affinity, ready to be asked. */
export interface Term {
  readonly key: string;
  readonly selects: Selector;
  readonly inNamespace: (namespace: string) => boolean;
  readonly weight: number;
}

/** The terms of one pod. */
export interface PodTerms {
  readonly affinity: readonly Term[];
  readonly antiAffinity: readonly Term[];
  /** Wishes; those to be apart have negative weights. */
  readonly preferred: readonly Term[];
}

const NO_LABELS: Labels = {};
const NO_TERMS: PodTerms = { affinity: [], antiAffinity: [], preferred: [] };

/** Compiles all terms of a pod. */
export function termsOf(pod: Pod, namespaces: NamespaceLookup): PodTerms {
  const near = pod.spec.affinity?.podAffinity;
  const apart = pod.spec.affinity?.podAntiAffinity;
  if (near === undefined && apart === undefined) return NO_TERMS;
  const plain = (terms: readonly PodAffinityTerm[] | undefined): Term[] =>
    (terms ?? []).map((term) => compileTerm(term, pod, namespaces, 0));
  const wishes = (of: typeof near, sign: number): Term[] =>
    (of?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) =>
      compileTerm(podAffinityTerm, pod, namespaces, sign * weight),
    );
  return {
    affinity: plain(near?.requiredDuringSchedulingIgnoredDuringExecution),
    antiAffinity: plain(apart?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred: [...wishes(near, 1), ...wishes(apart, -1)],
  };
}

function compileTerm(term: PodAffinityTerm, owner: Pod, lookup: NamespaceLookup, weight: number): Term {
  const names = new Set(term.namespaces ?? []);
  if (names.size === 0 && term.namespaceSelector === undefined) names.add(owner.metadata.namespace ?? "");
  const bySelector = term.namespaceSelector === undefined ? undefined : compileLabelSelector(term.namespaceSelector);
  return {
    key: term.topologyKey,
    // The server put the pod's own labels into it (`matchLabelKeys`, `mismatchLabelKeys`) when the pod was made.
    selects: compileLabelSelector(term.labelSelector),
    inNamespace: (name) => names.has(name) || bySelector?.matches(lookup.namespaceLabels(name) ?? NO_LABELS) === true,
    weight,
  };
}

/** Whether a pod with this namespace and these labels is meant. */
export function termMatches(term: Term, namespace: string | undefined, labels: Labels | undefined): boolean {
  return term.inNamespace(namespace ?? "") && term.selects.matches(labels ?? NO_LABELS);
}
