import type { Pod } from "@coracle/api/core/v1";
import { matchesTerm, podAcceptsNode } from "../framework/node-selector.ts";
import { normalizeScores, type Plugin } from "../framework/plugin.ts";

/** Names of the only nodes that required affinity by `metadata.name` allows; undefined when it is not so narrow. */
function namedNodes(pod: Pod): ReadonlySet<string> | undefined {
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms === undefined || terms.length === 0) return undefined;
  const names = new Set<string>();
  for (const term of terms) {
    const field = term.matchFields?.find(
      (requirement) => requirement.key === "metadata.name" && requirement.operator === "In",
    );
    if (field === undefined) return undefined;
    for (const name of field.values ?? []) names.add(name);
  }
  return names;
}

const preferences = (pod: Pod) =>
  pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];

/** `spec.nodeSelector`, required and preferred node affinity. */
export const nodeAffinity: Plugin = {
  name: "NodeAffinity",
  events: ["node-added", "node-changed", "pod-changed"],
  preFilter(_, pod) {
    const nodes = namedNodes(pod);
    if (nodes !== undefined) return { nodes };
    const isFree = pod.spec.nodeSelector === undefined && pod.spec.affinity?.nodeAffinity === undefined;
    return isFree ? { skip: true } : undefined;
  },
  filter(_, pod, { node }) {
    if (node !== undefined && podAcceptsNode(pod, node)) return undefined;
    return { reasons: ["node(s) didn't match Pod's node affinity/selector"], isFinal: true };
  },
  preScore: (_, pod) => ({ skip: preferences(pod).length === 0 }),
  score(_, pod, { node }) {
    if (node === undefined) return 0;
    return preferences(pod).reduce(
      (sum, { weight, preference }) => (matchesTerm(preference, node) ? sum + weight : sum),
      0,
    );
  },
  normalize: (_state, _pod, scores) => normalizeScores(scores, false),
};
