import type {
  CapacityRequirements,
  Device,
  DeviceClass,
  DeviceSelector,
  DeviceSubRequest,
  DeviceTaint,
  DeviceToleration,
  ExactDeviceRequest,
  ResourceClaim,
} from "@coracle/api/resource/v1";
import { AllocationProblem, type AllocatorOptions } from "./allocator-options.ts";

/** One way to serve a request. */
export interface Choice {
  readonly claimKey: string;
  readonly request: string;
  readonly subRequest: string | undefined;
  /** Of the request, or of the one of several that this is. */
  readonly name: string;
  readonly deviceClass: DeviceClass;
  readonly selectors: readonly DeviceSelector[] | undefined;
  readonly tolerations: readonly DeviceToleration[] | undefined;
  readonly capacity: CapacityRequirements | undefined;
  readonly isAll: boolean;
  readonly count: number;
  readonly isAdmin: boolean;
}

/** What one request of a claim accepts; the first choice is the best. */
export interface Request {
  readonly claimKey: string;
  readonly choices: readonly Choice[];
}

/** As allocations name it: `REQUEST`, or `REQUEST/SUBREQUEST`. */
export const fullName = ({ request, subRequest }: Choice): string =>
  subRequest === undefined ? request : `${request}/${subRequest}`;

type Options = Pick<AllocatorOptions, "classOf" | "features">;

/** The requests of a claim. Throws AllocationProblem for what cannot be served at all. */
export function readRequests({ metadata, spec }: ResourceClaim, options: Options): readonly Request[] {
  const claimKey = `${metadata.namespace}/${metadata.name}`;
  return (spec.devices?.requests ?? []).map(({ name, exactly, firstAvailable = [] }) => {
    const here = `claim ${claimKey}, request ${name}`;
    if (firstAvailable.length > 0) {
      if (!options.features.prioritizedList)
        throw new AllocationProblem(`${here}: has subrequests, but the DRAPrioritizedList feature is disabled`);
      return { claimKey, choices: firstAvailable.map((sub) => read(claimKey, name, sub.name, sub, options)) };
    }
    if (exactly === undefined) throw new AllocationProblem(`${here}: unknown request type`);
    if (exactly.adminAccess !== undefined && !options.features.adminAccess)
      throw new AllocationProblem(`${here}: admin access is requested, but the feature is disabled`);
    return { claimKey, choices: [read(claimKey, name, undefined, exactly, options)] };
  });
}

function read(
  claimKey: string,
  request: string,
  subRequest: string | undefined,
  wanted: ExactDeviceRequest | DeviceSubRequest,
  { classOf }: Options,
): Choice {
  const name = subRequest ?? request;
  const { deviceClassName, selectors, tolerations, capacity, allocationMode = "ExactCount", count = 1 } = wanted;
  const here = `claim ${claimKey}, request ${name}`;
  const deviceClass = classOf(deviceClassName);
  if (deviceClass === undefined)
    throw new AllocationProblem(
      `${here}: could not retrieve device class ${deviceClassName}: deviceclass.resource.k8s.io "${deviceClassName}" not found`,
    );
  if (allocationMode !== "ExactCount" && allocationMode !== "All")
    throw new AllocationProblem(`${here}: unsupported count mode ${allocationMode}`);
  const isAdmin = "adminAccess" in wanted && wanted.adminAccess === true;
  return {
    claimKey,
    request,
    subRequest,
    name,
    deviceClass,
    selectors,
    tolerations,
    capacity,
    isAll: allocationMode === "All",
    count,
    isAdmin,
  };
}

/** Whether no taint of the device keeps a request with these tolerations away. */
export function isTolerated({ taints = [] }: Device, tolerations: readonly DeviceToleration[] = []): boolean {
  return taints.every(
    (taint) =>
      (taint.effect !== "NoSchedule" && taint.effect !== "NoExecute") ||
      tolerations.some((toleration) => tolerates(toleration, taint)),
  );
}

function tolerates(
  { key = "", operator = "Equal", value = "", effect = "" }: DeviceToleration,
  taint: DeviceTaint,
): boolean {
  if (effect !== "" && effect !== taint.effect) return false;
  if (key !== "" && key !== taint.key) return false;
  return operator === "Exists" || (operator === "Equal" && value === (taint.value ?? ""));
}
