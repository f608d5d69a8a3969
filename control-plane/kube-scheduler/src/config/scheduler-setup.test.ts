import { describe, expect, it } from "vitest";
import { parseSchedulerFlags } from "../flags.ts";
import { readSchedulerSetup } from "./scheduler-setup.ts";

const setupOf = async (...argv: string[]) => await readSchedulerSetup(parseSchedulerFlags(argv));
const DEFAULTS = {
  adminAccess: true,
  prioritizedList: true,
  filterTimeout: true,
  partitionableDevices: false,
  deviceTaints: false,
  consumableCapacity: false,
  bindingConditions: false,
  extendedResources: false,
};
const ALPHA = {
  partitionableDevices: true,
  deviceTaints: true,
  consumableCapacity: true,
  bindingConditions: true,
  extendedResources: true,
};

describe("--feature-gates", () => {
  it.each([
    ["", {}, []],
    ["DRADeviceTaints=true,DRAConsumableCapacity=true", { deviceTaints: true, consumableCapacity: true }, []],
    ["kube:DRAPartitionableDevices=true", { partitionableDevices: true }, []],
    ["DRAAdminAccess=false", { adminAccess: false }, []],
    ["DRADeviceTaints=false", {}, []],
    ["AllAlpha=true", ALPHA, ["AllAlpha"]],
    ["AllAlpha=true,DRADeviceTaints=false", { ...ALPHA, deviceTaints: false }, ["AllAlpha"]],
    ["AllBeta=false", { adminAccess: false, prioritizedList: false, filterTimeout: false }, ["AllBeta"]],
    ["DRASchedulerFilterTimeout=false", { filterTimeout: false }, []],
    ["DRADeviceBindingConditions=true", { bindingConditions: true }, []],
    ["DRADeviceBindingConditions=true,DRAResourceClaimDeviceStatus=false", {}, []],
    ["DRAExtendedResource=true", { extendedResources: true }, []],
    ["GangScheduling=true", {}, ["GangScheduling"]],
  ])("%s", async (gates, features, withoutEffect) => {
    const setup = await setupOf(`--feature-gates=${gates}`);
    expect(setup?.deviceFeatures).toEqual({ ...DEFAULTS, ...features });
    expect(setup?.gatesWithoutEffect).toEqual(withoutEffect);
  });
  it.each([
    ["Nope=true", "unrecognized feature gate: Nope"],
    [
      "DynamicResourceAllocation=false",
      "cannot set feature gate DynamicResourceAllocation to false, feature is locked to true",
    ],
    ["DRADeviceTaints", "missing bool value for DRADeviceTaints"],
  ])("refused: %s", async (gates, message) => {
    await expect(setupOf(`--feature-gates=${gates}`)).rejects.toThrow(message);
  });
});
