import { readFeatureGates } from "@coracle/apimachinery";

/** The gates that something here asks for, as they are by default. */
const GATES = {
  DRADeviceTaints: { isOn: false, stage: "ALPHA" },
  DRADeviceTaintRules: { isOn: false, stage: "ALPHA" },
  HPAConfigurableTolerance: { isOn: true, stage: "BETA" },
  StorageVersionAPI: { isOn: false, stage: "ALPHA" },
  APIServerIdentity: { isOn: true, stage: "BETA" },
  ClusterTrustBundle: { isOn: false, stage: "BETA" },
  PodCertificateRequest: { isOn: false, stage: "BETA" },
  SELinuxChangePolicy: { isOn: true, stage: "BETA" },
} as const;

/** A gate that something here asks for. */
export type Gate = keyof typeof GATES;

/** Whether `--feature-gates` leaves `gate` on. Throws UsageError for gates that there are not. */
export function isGateOn(gate: Gate, items: readonly string[]): boolean {
  const changed = readFeatureGates(items);
  const { isOn, stage } = GATES[gate];
  const isNamed = items.some((item) => item.replace(/^kube:/, "").startsWith(`${gate}=`));
  if (isNamed) return changed.get(gate) ?? isOn; // its stage does not matter
  return changed.get(stage === "ALPHA" ? "AllAlpha" : "AllBeta") ?? isOn;
}
