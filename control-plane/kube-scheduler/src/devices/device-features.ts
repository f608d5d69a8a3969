import { isGateOn, readFeatureGates, type KnownGate } from "@coracle/apimachinery";

/** What the allocator may use, by upstream's feature gates. */
export interface DeviceFeatures {
  /** DRAAdminAccess */
  readonly adminAccess: boolean;
  /** DRAPrioritizedList */
  readonly prioritizedList: boolean;
  /** DRASchedulerFilterTimeout */
  readonly filterTimeout: boolean;
  /** DRAPartitionableDevices */
  readonly partitionableDevices: boolean;
  /** DRADeviceTaints */
  readonly deviceTaints: boolean;
  /** DRADeviceTaintRules, which goes with DRADeviceTaints */
  readonly deviceTaintRules: boolean;
  /** DRAConsumableCapacity */
  readonly consumableCapacity: boolean;
  /** DRADeviceBindingConditions, which goes with DRAResourceClaimDeviceStatus */
  readonly bindingConditions: boolean;
  /** DRAExtendedResource */
  readonly extendedResources: boolean;
}

const ON: KnownGate = { isOn: true, stage: "BETA" };
const OFF: KnownGate = { isOn: false, stage: "ALPHA" };

/** The gates that are asked about here, as Kubernetes 1.35 comes. */
const GATES = {
  DRAAdminAccess: ON,
  DRAPrioritizedList: ON,
  DRASchedulerFilterTimeout: ON,
  DRAResourceClaimDeviceStatus: ON,
  DRAPartitionableDevices: OFF,
  DRADeviceTaints: OFF,
  DRADeviceTaintRules: OFF,
  DRAConsumableCapacity: OFF,
  DRADeviceBindingConditions: OFF,
  DRAExtendedResource: OFF,
} as const satisfies Readonly<Record<string, KnownGate>>;

/** What `--feature-gates` comes to. Throws UsageError for gates that there are not. */
export function deviceFeatures(items: readonly string[]): DeviceFeatures {
  const isOn = (gate: keyof typeof GATES): boolean => isGateOn(gate, GATES[gate], items);
  return {
    adminAccess: isOn("DRAAdminAccess"),
    prioritizedList: isOn("DRAPrioritizedList"),
    filterTimeout: isOn("DRASchedulerFilterTimeout"),
    partitionableDevices: isOn("DRAPartitionableDevices"),
    deviceTaints: isOn("DRADeviceTaints"),
    deviceTaintRules: isOn("DRADeviceTaints") && isOn("DRADeviceTaintRules"),
    consumableCapacity: isOn("DRAConsumableCapacity"),
    bindingConditions: isOn("DRADeviceBindingConditions") && isOn("DRAResourceClaimDeviceStatus"),
    extendedResources: isOn("DRAExtendedResource"),
  };
}

/** As Kubernetes 1.35 comes. */
export const DEFAULT_DEVICE_FEATURES: DeviceFeatures = deviceFeatures([]);

/** Of the gates that are set otherwise than usual those that nothing here asks about. */
export const gatesWithoutEffect = (items: readonly string[]): readonly string[] =>
  [...readFeatureGates(items).keys()].filter((name) => !(name in GATES));
