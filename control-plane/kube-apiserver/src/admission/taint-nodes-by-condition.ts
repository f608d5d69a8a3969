import type { AdmissionPlugin } from "./plugin.ts";

const NOT_READY = "node.kubernetes.io/not-ready";

/** A new node takes no pods until it has been seen ready. */
export const taintNodesByCondition: AdmissionPlugin = {
  name: "TaintNodesByCondition",
  scope: { operations: ["CREATE"], resources: ["/nodes"] },
  admit({ object }) {
    if (object === undefined) return;
    const spec = (object["spec"] ??= {}) as { taints?: { key?: string; effect?: string }[] };
    const taints = spec.taints ?? [];
    if (taints.some((taint) => taint.key === NOT_READY && taint.effect === "NoSchedule")) return;
    spec.taints = [...taints, { key: NOT_READY, effect: "NoSchedule" }];
  },
};
