import type { Pod } from "@coracle/api/core/v1";
import type {
  DeviceRequestAllocationResult,
  DeviceTaint,
  DeviceToleration,
  ResourceClaim,
  ResourceSlice,
} from "@coracle/api/resource/v1";
import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import type { Instant } from "@coracle/base";
import { claimNamed, isMadeFor } from "../resource-claim/plan.ts";
import { instantOf } from "../time/timestamp.ts";

const NO_EXECUTE = "NoExecute";

/** What is known of the devices that pods use. */
export interface DeviceView {
  claim(name: string): ResourceClaim | undefined;
  /** All slices of a pool, also of former generations. */
  slicesOf(driver: string, pool: string): readonly ResourceSlice[];
  readonly rules: readonly DeviceTaintRule[];
}

/** When a pod must go for the sake of its devices' taints; undefined: it may stay. */
export function evictionTime(pod: Pod, view: DeviceView): Instant | undefined {
  if ((pod.spec.nodeName ?? "") === "") return undefined;
  let first: Instant | undefined;
  for (const each of pod.spec.resourceClaims ?? []) {
    const named = claimNamed(pod, each);
    const claim = named.state === "named" ? view.claim(named.name) : undefined;
    if (named.state !== "named" || claim === undefined || (named.own && !isMadeFor(pod, claim))) continue;
    if (claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata.uid) !== true) continue;
    for (const device of claim.status.allocation?.devices?.results ?? [])
      for (const taint of taintsOn(device, view)) {
        const time = timeOf(taint, device.tolerations ?? []);
        if (time !== undefined && (first === undefined || time < first)) first = time;
      }
  }
  return first;
}

/** The taints of a device that drive pods away: its driver's, and those of rules. */
function taintsOn({ driver, pool, device }: DeviceRequestAllocationResult, view: DeviceView): readonly DeviceTaint[] {
  const slices = view.slicesOf(driver, pool);
  const generation = Math.max(...slices.map(({ spec }) => spec.pool.generation));
  const own = slices
    .filter(({ spec }) => spec.pool.generation === generation)
    .flatMap(({ spec }) => spec.devices ?? [])
    .find(({ name }) => name === device);
  const ruled = view.rules.filter(({ spec: { deviceSelector: of } }) => {
    if (of === undefined) return false;
    return (of.driver ?? driver) === driver && (of.pool ?? pool) === pool && (of.device ?? device) === device;
  });
  return [...(own?.taints ?? []), ...ruled.map(({ spec }) => spec.taint)].filter(({ effect }) => effect === NO_EXECUTE);
}

/** When a taint drives away who has these tolerations; undefined: never. */
function timeOf(taint: DeviceTaint, tolerations: readonly DeviceToleration[]): Instant | undefined {
  const added = instantOf(taint.timeAdded) ?? 0;
  let seconds: number | undefined;
  for (const toleration of tolerations) {
    if (toleration.effect !== NO_EXECUTE || !tolerates(toleration, taint)) continue;
    if (toleration.tolerationSeconds === undefined) return undefined;
    seconds = Math.min(seconds ?? Infinity, Math.max(0, toleration.tolerationSeconds));
  }
  return added + (seconds ?? 0) * 1000;
}

function tolerates({ key = "", operator = "Equal", value = "" }: DeviceToleration, taint: DeviceTaint): boolean {
  if (key !== "" && key !== taint.key) return false;
  if (operator === "Exists") return true;
  return operator === "Equal" && value === (taint.value ?? "");
}
