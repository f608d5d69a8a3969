import type { Node, NodeSelector } from "@coracle/api/core/v1";
import type { CounterSet, Device, ResourceSlice } from "@coracle/api/resource/v1";
import { matchesNodeSelector } from "../framework/node-selector.ts";
import type { DeviceFeatures } from "./device-features.ts";

/** Devices of one driver that belong together, as far as a node can use them. */
export interface ResourcePool {
  readonly driver: string;
  readonly name: string;
  readonly state: "ready" | "incomplete" | "invalid";
  /** Slices whose devices the node can reach (of those with selection per device: some). */
  readonly slices: readonly ResourceSlice[];
  /** All slices of the generation: counters are shared with devices elsewhere. */
  readonly allSlices: readonly ResourceSlice[];
  readonly counterSets: ReadonlyMap<string, CounterSet>;
}

/** A device: no two have the same. */
export const deviceId = (driver: string, pool: string, device: string): string => `${driver}/${pool}/${device}`;

/** Whether what says where it is can be used on the node. */
export function isOnNode(
  where: {
    readonly nodeName?: string | undefined;
    readonly allNodes?: boolean | undefined;
    readonly nodeSelector?: NodeSelector | undefined;
  },
  node: Node,
): boolean {
  if ((where.nodeName ?? "") !== "") return where.nodeName === node.metadata.name;
  if (where.allNodes === true) return true;
  return where.nodeSelector !== undefined && matchesNodeSelector(where.nodeSelector, node);
}

/** Slices by pool, of the newest generation alone. Holds for all nodes. */
export function groupSlices(
  slices: readonly ResourceSlice[],
  features: DeviceFeatures,
): ReadonlyMap<string, readonly ResourceSlice[]> {
  const groups = new Map<string, ResourceSlice[]>();
  for (const slice of slices) {
    const { perDeviceNodeSelection, sharedCounters = [], driver, pool } = slice.spec;
    const isPartitioned = perDeviceNodeSelection !== undefined || sharedCounters.length > 0;
    if (isPartitioned && !features.partitionableDevices) continue;
    const key = `${driver}/${pool.name}`;
    const group = groups.get(key);
    const generation = group?.[0]?.spec.pool.generation ?? -Infinity;
    if (group === undefined || pool.generation > generation) groups.set(key, [slice]);
    else if (pool.generation === generation) group.push(slice);
  }
  return groups;
}

/** The pools a node can take devices from. */
export function poolsFor(
  node: Node,
  groups: ReadonlyMap<string, readonly ResourceSlice[]>,
  features: DeviceFeatures,
): readonly ResourcePool[] {
  const pools: ResourcePool[] = [];
  for (const allSlices of groups.values()) {
    const reachable = allSlices.filter((slice) => isReachable(slice, node));
    const [first] = allSlices;
    if (first === undefined || reachable.length === 0) continue;
    const { driver, pool } = first.spec;
    const counterSlices = allSlices.filter(({ spec }) => (spec.sharedCounters ?? []).length > 0);
    const counterSets = new Map(
      counterSlices.flatMap(({ spec }) => (spec.sharedCounters ?? []).map((set) => [set.name, set] as const)),
    );
    const slices = simplestFirst(
      reachable.filter((slice) => !counterSlices.includes(slice)),
      hasConditions,
    );
    const isComplete = allSlices.length === pool.resourceSliceCount;
    const isValid = isComplete && hasSense(slices, allSlices, counterSlices, counterSets, features);
    const state = isValid ? "ready" : isComplete ? "invalid" : "incomplete";
    pools.push({ driver, name: pool.name, state, slices, allSlices, counterSets });
  }
  return simplestFirst(pools, (pool) => pool.slices.some(hasConditions));
}

/** Devices that must be made ready before a pod is bound are taken where no others are left. */
const simplestFirst = <T>(all: readonly T[], isLater: (each: T) => boolean): readonly T[] => [
  ...all.filter((each) => !isLater(each)),
  ...all.filter(isLater),
];

const hasConditions = ({ spec }: ResourceSlice): boolean =>
  (spec.devices ?? []).some(({ bindingConditions }) => bindingConditions !== undefined);

function isReachable({ spec }: ResourceSlice, node: Node): boolean {
  if ((spec.sharedCounters ?? []).length > 0) return true;
  if (spec.perDeviceNodeSelection === true) return (spec.devices ?? []).some((device) => isOnNode(device, node));
  return isOnNode(spec, node);
}

/** No device is named twice, and all counters that devices need are there. */
function hasSense(
  slices: readonly ResourceSlice[],
  allSlices: readonly ResourceSlice[],
  counterSlices: readonly ResourceSlice[],
  counterSets: ReadonlyMap<string, CounterSet>,
  { partitionableDevices }: DeviceFeatures,
): boolean {
  const devices = slices.flatMap(({ spec }) => spec.devices ?? []);
  if (new Set(devices.map(({ name }) => name)).size < devices.length) return false;
  if (!partitionableDevices) return true;
  const sets = counterSlices.reduce((sum, { spec }) => sum + (spec.sharedCounters?.length ?? 0), 0);
  if (sets > counterSets.size) return false;
  const knowsCounters = ({ consumesCounters = [] }: Device): boolean =>
    consumesCounters.every(({ counterSet, counters }) => {
      const set = counterSets.get(counterSet);
      return set !== undefined && Object.keys(counters).every((name) => set.counters[name] !== undefined);
    });
  return allSlices.every(({ spec }) => (spec.devices ?? []).every(knowsCounters));
}
