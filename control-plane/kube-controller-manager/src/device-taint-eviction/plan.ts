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

/** When a pod must go, and for the sake of which rules beside its devices' own taints. */
export interface Eviction {
  readonly time: Instant;
  readonly rules: ReadonlySet<DeviceTaintRule>;
}

/** Whether and when a pod must go for the sake of its devices' taints; undefined: it may stay. */
export function evictionOf(pod: Pod, view: DeviceView): Eviction | undefined {
  if ((pod.spec.nodeName ?? "") === "") return undefined;
  let first: Instant | undefined;
  const rules = new Set<DeviceTaintRule>();
  for (const each of pod.spec.resourceClaims ?? []) {
    const named = claimNamed(pod, each);
    const claim = named.state === "named" ? view.claim(named.name) : undefined;
    if (named.state !== "named" || claim === undefined || (named.own && !isMadeFor(pod, claim))) continue;
    if (claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata.uid) !== true) continue;
    for (const device of devicesOf(claim))
      for (const { taint, rule } of taintsOn(device, view)) {
        const time = timeOf(taint, device.tolerations ?? []);
        if (time === undefined) continue;
        if (rule !== undefined) rules.add(rule);
        if (first === undefined || time < first) first = time;
      }
  }
  return first === undefined ? undefined : { time: first, rules };
}

/** The devices that a claim has. */
export const devicesOf = ({ status }: ResourceClaim): readonly DeviceRequestAllocationResult[] =>
  status?.allocation?.devices?.results ?? [];

/** Whether a rule is about a device; one without a selector is about none. */
export function isAbout(
  { spec: { deviceSelector: of } }: DeviceTaintRule,
  { driver, pool, device }: Pick<DeviceRequestAllocationResult, "driver" | "pool" | "device">,
): boolean {
  if (of === undefined) return false;
  return (of.driver ?? driver) === driver && (of.pool ?? pool) === pool && (of.device ?? device) === device;
}

/** The slices of a pool that count: those of the latest generation. */
export function latestSlices(slices: readonly ResourceSlice[]): readonly ResourceSlice[] {
  const generation = Math.max(...slices.map(({ spec }) => spec.pool.generation));
  return slices.filter(({ spec }) => spec.pool.generation === generation);
}

/** The taints of a device that drive pods away: its driver's, and those of rules. */
function taintsOn(
  device: DeviceRequestAllocationResult,
  view: DeviceView,
): readonly { readonly taint: DeviceTaint; readonly rule?: DeviceTaintRule }[] {
  const own = latestSlices(view.slicesOf(device.driver, device.pool))
    .flatMap(({ spec }) => spec.devices ?? [])
    .find(({ name }) => name === device.device);
  const ruled = view.rules.filter((rule) => isAbout(rule, device));
  return [
    ...(own?.taints ?? []).map((taint) => ({ taint })),
    ...ruled.map((rule) => ({ taint: rule.spec.taint, rule })),
  ].filter(({ taint }) => taint.effect === NO_EXECUTE);
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
