import type { Node, Taint, Toleration } from "@coracle/api/core/v1";
import { isPod, maxNormalizer, normalizeScores, type Plugin, type Unfit } from "../framework/plugin.ts";
import { tolerates, untoleratedTaint } from "../framework/tolerations.ts";

const UNFIT: Unfit = { reasons: ["node(s) had untolerated taint(s)"], isFinal: true };

const isKeptOut = (taints: readonly Taint[] | undefined, tolerations: readonly Toleration[] | undefined): boolean =>
  untoleratedTaint(taints, tolerations, ["NoSchedule", "NoExecute"]) !== undefined;

/** Untolerated taints that only say what is preferred. */
function dislikes(taints: readonly Taint[] | undefined, tolerations: readonly Toleration[] | undefined): number {
  let count = 0;
  for (const taint of taints ?? []) {
    if (taint.effect !== "PreferNoSchedule") continue;
    if (tolerations?.some((toleration) => tolerates(toleration, taint)) !== true) count++;
  }
  return count;
}

/** NoSchedule and NoExecute taints keep pods away; each untolerated PreferNoSchedule taint makes a node less liked. */
export const taintToleration: Plugin = {
  name: "TaintToleration",
  events: ["node-added", "node-taints-changed", "pod-tolerations-changed"],
  isHelpful(pod, { event, old, current }) {
    if (event === "pod-tolerations-changed") return isPod(pod, current);
    const keepsOut = (node: unknown): boolean => isKeptOut((node as Node).spec.taints, pod.spec.tolerations);
    return (old === undefined || keepsOut(old)) && (current === undefined || !keepsOut(current));
  },
  filter: (_, pod, { node }) => (isKeptOut(node?.spec.taints, pod.spec.tolerations) ? UNFIT : undefined),
  score: (_, pod, { node }) => dislikes(node?.spec.taints, pod.spec.tolerations),
  normalize: (_state, _pod, scores) => normalizeScores(scores, true),
  columns: {
    nodePart({ spec: { tolerations } }, { table }) {
      const taintsOf = (slot: number): readonly Taint[] | undefined => table.state(slot)?.node?.spec.taints;
      return {
        kind: "node",
        isStatic: true,
        filter: (slot) => (isKeptOut(taintsOf(slot), tolerations) ? UNFIT : undefined),
        score: (slot) => dislikes(taintsOf(slot), tolerations),
        normalize: maxNormalizer(true),
      };
    },
  },
};
