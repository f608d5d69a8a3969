import { isGateOn, type KnownGate } from "@coracle/apimachinery";
import type { IsServed } from "./registry/runtime-config.ts";

/** The feature gates that change what this server does, as they are by default. */
const GATES = {
  ClusterTrustBundle: { isOn: false, stage: "BETA" },
  DRADeviceTaintRules: { isOn: false, stage: "ALPHA" },
  DRAExtendedResource: { isOn: false, stage: "ALPHA" },
  DRADeviceTaints: { isOn: false, stage: "ALPHA" },
  GenericWorkload: { isOn: false, stage: "ALPHA" },
  MaxUnavailableStatefulSet: { isOn: false, stage: "BETA" },
  PodCertificateRequest: { isOn: false, stage: "BETA" },
  StorageVersionAPI: { isOn: false, stage: "ALPHA" },
  StorageVersionMigrator: { isOn: false, stage: "BETA" },
} as const satisfies Readonly<Record<string, KnownGate>>;

/** A feature that is off unless `--feature-gates` turns it on. */
export type Feature = keyof typeof GATES;
/** The features that are on. */
export type Features = ReadonlySet<Feature>;

/** All features that are off by default are. */
export const NO_FEATURES: Features = new Set();

/** Kinds that are not served without their gate, whatever `--runtime-config` says. */
const KINDS: Readonly<Record<string, Feature | undefined>> = {
  "certificates.k8s.io/clustertrustbundles": "ClusterTrustBundle",
  "certificates.k8s.io/podcertificaterequests": "PodCertificateRequest",
  "scheduling.k8s.io/workloads": "GenericWorkload",
  "storagemigration.k8s.io/storageversionmigrations": "StorageVersionMigrator",
};

/** Reads `--feature-gates`. Throws UsageError for gates that there are not. */
export function readFeatures(items: readonly string[]): Features {
  const names = Object.keys(GATES) as Feature[];
  return items.length === 0 ? NO_FEATURES : new Set(names.filter((name) => isGateOn(name, GATES[name], items)));
}

/** Whether something here asks for a gate. */
export const isKnownFeature = (gate: string): boolean => Object.hasOwn(GATES, gate);

/** What is served, without the kinds whose gate is off. */
export function servedWith(
  features: Features,
  isServed: IsServed = ({ enabledByDefault }) => enabledByDefault,
): IsServed {
  return (entry) => {
    const gate = KINDS[`${entry.group}/${entry.plural}`];
    return (gate === undefined || features.has(gate)) && isServed(entry);
  };
}
