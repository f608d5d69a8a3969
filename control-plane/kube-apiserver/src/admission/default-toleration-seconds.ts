import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

/** For how long pods stay on a node in trouble: `--default-…-toleration-seconds`. */
export interface DefaultTolerationSecondsConfiguration {
  readonly notReadySeconds?: number | undefined;
  readonly unreachableSeconds?: number | undefined;
}

const SECONDS = 300;

/** Pods stay for some minutes on a node that is not ready or not reachable, unless they say otherwise. */
export function defaultTolerationSeconds({
  notReadySeconds = SECONDS,
  unreachableSeconds = SECONDS,
}: DefaultTolerationSecondsConfiguration = {}): AdmissionPlugin {
  const defaults = [
    { key: "node.kubernetes.io/not-ready", tolerationSeconds: notReadySeconds },
    { key: "node.kubernetes.io/unreachable", tolerationSeconds: unreachableSeconds },
  ];
  return {
    name: "DefaultTolerationSeconds",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
    admit(attributes) {
      const spec = podSpecOf(attributes);
      if (spec === undefined) return;
      const tolerations = spec.tolerations ?? [];
      for (const { key, tolerationSeconds } of defaults) {
        const isTolerated = tolerations.some(
          (one) => (one["key"] === key || !one["key"]) && (one["effect"] === "NoExecute" || !one["effect"]),
        );
        if (isTolerated) continue;
        spec.tolerations = [
          ...(spec.tolerations ?? []),
          { key, operator: "Exists", effect: "NoExecute", tolerationSeconds },
        ];
      }
    },
  };
}
