import type { Plugin } from "../framework/plugin.ts";
import { tolerates } from "../framework/tolerations.ts";

const TAINT = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

/** Leaves out cordoned nodes, unless the pod tolerates the taint that stands for it. */
export const nodeUnschedulable: Plugin = {
  name: "NodeUnschedulable",
  events: ["node-added", "node-changed", "pod-changed"],
  filter(_, pod, { node }) {
    if (node?.spec.unschedulable !== true) return undefined;
    if (pod.spec.tolerations?.some((toleration) => tolerates(toleration, TAINT))) return undefined;
    return { reasons: ["node(s) were unschedulable"], isFinal: true };
  },
};
