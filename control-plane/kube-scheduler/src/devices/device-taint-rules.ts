import type { Device, ResourceSlice } from "@coracle/api/resource/v1";
import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";

/** Slices as they are when the rules' taints are put on the devices that they are about; the same where there are none. */
export function withRules(
  slices: readonly ResourceSlice[],
  rules: readonly DeviceTaintRule[],
): readonly ResourceSlice[] {
  if (rules.length === 0) return slices;
  return slices.map((slice) => {
    const { driver, pool, devices = [] } = slice.spec;
    const tainted = devices.map((device): Device => {
      const taints = rules
        .filter((rule) => isAbout(rule, driver, pool.name, device.name))
        .map(({ spec: { taint } }) => taint);
      return taints.length === 0 ? device : { ...device, taints: [...(device.taints ?? []), ...taints] };
    });
    const isSame = tainted.every((device, i) => device === devices[i]);
    return isSame ? slice : { ...slice, spec: { ...slice.spec, devices: tainted } };
  });
}

/** One without a selector is about none. */
function isAbout({ spec }: DeviceTaintRule, driver: string, pool: string, device: string): boolean {
  const of = spec.deviceSelector;
  if (of === undefined) return false;
  return (of.driver ?? driver) === driver && (of.pool ?? pool) === pool && (of.device ?? device) === device;
}
