import type { Node, Pod } from "@coracle/api/core/v1";
import { isPod, type ClusterChange, type Plugin, type Unfit } from "../framework/plugin.ts";
import { tolerates } from "../framework/tolerations.ts";

const TAINT = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };
const UNFIT: Unfit = { reasons: ["node(s) were unschedulable"], isFinal: true };

const isTolerant = ({ spec }: Pod): boolean =>
  spec.tolerations?.some((toleration) => tolerates(toleration, TAINT)) === true;

/** Leaves out cordoned nodes, unless the pod tolerates the taint that stands for it. */
export const nodeUnschedulable: Plugin = {
  name: "NodeUnschedulable",
  events: ["node-added", "node-taints-changed", "pod-tolerations-changed"],
  isHelpful(pod, { event, old, current }: ClusterChange) {
    if (event === "pod-tolerations-changed") return isPod(pod, current) && isTolerant(current as Pod);
    const isOpen = (current as Node | undefined)?.spec.unschedulable !== true;
    return isOpen && (old === undefined || (old as Node).spec.unschedulable === true);
  },
  filter(_, pod, { node }) {
    if (node?.spec.unschedulable !== true) return undefined;
    return isTolerant(pod) ? undefined : UNFIT;
  },
  columns: {
    nodePart(pod, { table }) {
      if (isTolerant(pod)) return undefined;
      return {
        kind: "node",
        isStatic: true,
        filter: (slot) => (table.state(slot)?.node?.spec.unschedulable === true ? UNFIT : undefined),
      };
    },
  },
};
