import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf } from "./pod-draft.ts";

const isExtended = (name: string): boolean =>
  name.includes("/") && !name.includes("kubernetes.io/") && !name.startsWith("requests.");

/** Pods that ask for an extended resource may run on the nodes that are reserved for it. */
export const extendedResourceToleration: AdmissionPlugin = {
  name: "ExtendedResourceToleration",
  scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
  admit(attributes) {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    const names = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].flatMap((container) =>
      Object.keys((container["resources"] as { requests?: object } | undefined)?.requests ?? {}),
    );
    for (const key of [...new Set(names.filter(isExtended))].toSorted()) {
      const tolerations = spec.tolerations ?? [];
      const wanted = { key, operator: "Exists", effect: "NoSchedule" };
      const isSame = (one: Record<string, unknown>): boolean =>
        one["key"] === key && one["effect"] === "NoSchedule" && one["operator"] === "Exists" && !one["value"];
      spec.tolerations = tolerations.some(isSame)
        ? tolerations.map((one) => (isSame(one) ? wanted : one))
        : [...tolerations, wanted];
    }
  },
};
