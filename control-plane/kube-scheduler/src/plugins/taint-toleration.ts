import { normalizeScores, type Plugin } from "../framework/plugin.ts";
import { tolerates, untoleratedTaint } from "../framework/tolerations.ts";

/** NoSchedule and NoExecute taints keep pods away; each untolerated PreferNoSchedule taint makes a node less liked. */
export const taintToleration: Plugin = {
  name: "TaintToleration",
  events: ["node-added", "node-changed", "pod-changed"],
  filter(_, pod, { node }) {
    const taint = untoleratedTaint(node?.spec.taints, pod.spec.tolerations, ["NoSchedule", "NoExecute"]);
    return taint === undefined ? undefined : { reasons: ["node(s) had untolerated taint(s)"], isFinal: true };
  },
  score(_, pod, { node }) {
    const preferences = (node?.spec.taints ?? []).filter((taint) => taint.effect === "PreferNoSchedule");
    return preferences.filter((taint) => !pod.spec.tolerations?.some((toleration) => tolerates(toleration, taint)))
      .length;
  },
  normalize: (_state, _pod, scores) => normalizeScores(scores, true),
};
