import type { Pod } from "@coracle/api/core/v1";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const HOSTNAME = "kubernetes.io/hostname";

/** A pod may keep others off its node, and no further. */
export const limitPodHardAntiAffinityTopology: AdmissionPlugin = {
  name: "LimitPodHardAntiAffinityTopology",
  scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods"] },
  validate(attributes) {
    const { spec } = attributes.object as unknown as Pod;
    const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    const wide = terms.find(({ topologyKey }) => topologyKey !== HOSTNAME);
    if (wide === undefined) return;
    throw refusalOf(
      attributes,
      `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${wide.topologyKey} but only key ${HOSTNAME} is allowed`,
    );
  },
};
