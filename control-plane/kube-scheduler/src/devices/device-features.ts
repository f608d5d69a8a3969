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
