import type { DeviceClass, ResourceSlice } from "@coracle/api/resource/v1";
import type { Capacities } from "./consumed-capacity.ts";
import type { DeviceFeatures } from "./device-features.ts";
import type { DeviceSelectors } from "./device-selectors.ts";

/** Devices that claims have already. */
export interface DevicesInUse {
  /** By id: nobody else can have these. */
  readonly exclusive: Pick<ReadonlySet<string>, "has">;
  /** What is taken of devices that serve several, by id. */
  readonly shared: Pick<ReadonlyMap<string, Capacities>, "get" | "has">;
}

export interface AllocatorOptions {
  readonly slices: readonly ResourceSlice[];
  readonly inUse: DevicesInUse;
  readonly classOf: (name: string) => DeviceClass | undefined;
  /** Absent: nothing has selectors. */
  readonly selectors: DeviceSelectors | undefined;
  readonly features: DeviceFeatures;
  /** A new name for a share of a device. */
  readonly newShareId: () => string;
}

/** Why it cannot be told whether devices can be had: something is wrong with a claim or a class. */
export class AllocationProblem extends Error {}

/** The search on this node took too long. */
export class AllocationTimeout extends Error {}
