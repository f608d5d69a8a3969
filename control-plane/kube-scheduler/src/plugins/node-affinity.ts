import type { Node, NodeSelector, Pod, PreferredSchedulingTerm } from "@coracle/api/core/v1";
import { matchesNodeSelector, matchesTerm, podAcceptsNode } from "../framework/node-selector.ts";
import { maxNormalizer, normalizeScores, type Plugin, type Unfit } from "../framework/plugin.ts";

const UNFIT: Unfit = { reasons: ["node(s) didn't match Pod's node affinity/selector"], isFinal: true };
const ENFORCED: Unfit = { reasons: ["node(s) didn't match scheduler-enforced node affinity"], isFinal: true };

/** What the configuration may say. */
export interface NodeAffinityArgs {
  /** Counts for all pods, besides their own. */
  readonly addedAffinity?:
    | {
        readonly requiredDuringSchedulingIgnoredDuringExecution?: NodeSelector | undefined;
        readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly PreferredSchedulingTerm[] | undefined;
      }
    | undefined;
}

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

/** `spec.nodeSelector`, required and preferred node affinity. */
export function createNodeAffinity({ addedAffinity }: NodeAffinityArgs = {}): Plugin {
  const enforced = addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const added = addedAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  const preferences = (pod: Pod): readonly PreferredSchedulingTerm[] => {
    const own = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
    return own === undefined ? added : [...added, ...own];
  };
  const isFree = (pod: Pod): boolean =>
    enforced === undefined &&
    pod.spec.nodeSelector === undefined &&
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution === undefined;
  const judge = (pod: Pod, node: Node | undefined): Unfit | undefined => {
    if (node === undefined) return UNFIT;
    if (enforced !== undefined && !matchesNodeSelector(enforced, node)) return ENFORCED;
    return podAcceptsNode(pod, node) ? undefined : UNFIT;
  };
  const weigh = (terms: readonly PreferredSchedulingTerm[], node: Node | undefined): number => {
    let sum = 0;
    if (node !== undefined)
      for (const { weight, preference } of terms) if (matchesTerm(preference, node)) sum += weight;
    return sum;
  };
  return {
    name: "NodeAffinity",
    events: ["node-added", "node-labels-changed"],
    isHelpful(pod, { old, current }) {
      if (current === undefined) return true;
      return judge(pod, current as Node) === undefined && (old === undefined || judge(pod, old as Node) !== undefined);
    },
    preFilter(_, pod) {
      const nodes = namedNodes(pod);
      if (nodes !== undefined) return { nodes };
      return isFree(pod) ? { skip: true } : undefined;
    },
    filter: (_, pod, { node }) => judge(pod, node),
    preScore: (_, pod) => ({ skip: preferences(pod).length === 0 }),
    score: (_, pod, { node }) => weigh(preferences(pod), node),
    normalize: (_state, _pod, scores) => normalizeScores(scores, false),
    columns: {
      narrows: (pod) => namedNodes(pod) !== undefined,
      nodePart(pod, { table }) {
        const terms = preferences(pod);
        const isFiltering = !isFree(pod);
        if (!isFiltering && terms.length === 0) return undefined;
        return {
          kind: "node",
          isStatic: true,
          ...(isFiltering ? { filter: (slot: number) => judge(pod, table.state(slot)?.node) } : {}),
          ...(terms.length === 0
            ? {}
            : { score: (slot: number) => weigh(terms, table.state(slot)?.node), normalize: maxNormalizer(false) }),
        };
      },
    },
  };
}
