import { isGateOn as isOneOn, type KnownGate } from "@coracle/apimachinery";

/** The gates that something here asks for, as they are by default. */
const GATES = {
  DRADeviceTaints: { isOn: false, stage: "ALPHA" },
  DRADeviceTaintRules: { isOn: false, stage: "ALPHA" },
  HPAConfigurableTolerance: { isOn: true, stage: "BETA" },
  MaxUnavailableStatefulSet: { isOn: false, stage: "BETA" },
  StorageVersionAPI: { isOn: false, stage: "ALPHA" },
  StorageVersionMigrator: { isOn: false, stage: "BETA" },
  APIServerIdentity: { isOn: true, stage: "BETA" },
  ClusterTrustBundle: { isOn: false, stage: "BETA" },
  PodCertificateRequest: { isOn: false, stage: "BETA" },
  SELinuxChangePolicy: { isOn: true, stage: "BETA" },
} as const satisfies Readonly<Record<string, KnownGate>>;

/** A gate that something here asks for. */
export type Gate = keyof typeof GATES;

/** Whether `--feature-gates` leaves `gate` on. Throws UsageError for gates that there are not. */
export const isGateOn = (gate: Gate, items: readonly string[]): boolean => isOneOn(gate, GATES[gate], items);
