/** What the allocator may use, by upstream's feature gates. */
export interface DeviceFeatures {
  /** DRAAdminAccess */
  readonly adminAccess: boolean;
  /** DRAPrioritizedList */
  readonly prioritizedList: boolean;
  /** DRAPartitionableDevices */
  readonly partitionableDevices: boolean;
  /** DRADeviceTaints */
  readonly deviceTaints: boolean;
  /** DRAConsumableCapacity */
  readonly consumableCapacity: boolean;
}

/** As Kubernetes 1.35 comes. */
export const DEFAULT_DEVICE_FEATURES: DeviceFeatures = {
  adminAccess: true,
  prioritizedList: true,
  partitionableDevices: false,
  deviceTaints: false,
  consumableCapacity: false,
};

/** The member that stands for a gate; what is not here is never on. */
const GATES: Readonly<Record<string, keyof DeviceFeatures>> = {
  DRAAdminAccess: "adminAccess",
  DRAPrioritizedList: "prioritizedList",
  DRAPartitionableDevices: "partitionableDevices",
  DRADeviceTaints: "deviceTaints",
  DRAConsumableCapacity: "consumableCapacity",
};

/** What the gates that are set otherwise than usual come to, and those of them that nothing here asks about. */
export function deviceFeatures(gates: ReadonlyMap<string, boolean>): {
  readonly features: DeviceFeatures;
  readonly withoutEffect: readonly string[];
} {
  const features: { -readonly [K in keyof DeviceFeatures]: boolean } = { ...DEFAULT_DEVICE_FEATURES };
  for (const member of Object.values(GATES)) {
    // Of those here the ones that are on are beta, the others alpha.
    const stage = DEFAULT_DEVICE_FEATURES[member] ? "AllBeta" : "AllAlpha";
    features[member] = gates.get(stage) ?? features[member];
  }
  const withoutEffect: string[] = [];
  for (const [name, isOn] of gates) {
    const member = GATES[name];
    if (member !== undefined) features[member] = isOn;
    else withoutEffect.push(name);
  }
  return { features, withoutEffect };
}
