import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const SECONDS = 300;
const TAINTS = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/** Pods stay for five minutes on a node that is not ready or not reachable, unless they say otherwise. */
export const defaultTolerationSeconds: AdmissionPlugin = {
  name: "DefaultTolerationSeconds",
  scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
  admit(attributes) {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    const tolerations = spec.tolerations ?? [];
    for (const key of TAINTS) {
      const isTolerated = tolerations.some(
        (one) => (one["key"] === key || !one["key"]) && (one["effect"] === "NoExecute" || !one["effect"]),
      );
      if (isTolerated) continue;
      spec.tolerations = [
        ...(spec.tolerations ?? []),
        { key, operator: "Exists", effect: "NoExecute", tolerationSeconds: SECONDS },
      ];
    }
  },
};
