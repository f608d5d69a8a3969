import type { Plugin, Unfit } from "../framework/plugin.ts";
import { tolerates } from "../framework/tolerations.ts";

const TAINT = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
const UNFIT: Unfit = { reasons: ["node(s) were unschedulable"], isFinal: true };

/** Leaves out cordoned nodes, unless the pod tolerates the taint that stands for it. */
export const nodeUnschedulable: Plugin = {
  name: "NodeUnschedulable",
  events: ["node-added", "node-changed", "pod-changed"],
  filter(_, pod, { node }) {
    if (node?.spec.unschedulable !== true) return undefined;
    return pod.spec.tolerations?.some((toleration) => tolerates(toleration, TAINT)) === true ? undefined : UNFIT;
  },
  columns: {
    nodePart(pod, { table }) {
      if (pod.spec.tolerations?.some((toleration) => tolerates(toleration, TAINT)) === true) return undefined;
      return {
        kind: "node",
        isStatic: true,
        filter: (slot) => (table.state(slot)?.node?.spec.unschedulable === true ? UNFIT : undefined),
      };
    },
  },
};
