import { describe, expect, it } from "vitest";
import { parseSchedulerFlags } from "../flags.ts";
import { readSchedulerSetup } from "./scheduler-setup.ts";

const setupOf = async (...argv: string[]) => await readSchedulerSetup(parseSchedulerFlags(argv));
const DEFAULTS = {
  adminAccess: true,
  prioritizedList: true,
  partitionableDevices: false,
  deviceTaints: false,
  consumableCapacity: false,
};

describe("--feature-gates", () => {
  it.each([
    ["", {}, []],
    ["DRADeviceTaints=true,DRAConsumableCapacity=true", { deviceTaints: true, consumableCapacity: true }, []],
    ["kube:DRAPartitionableDevices=true", { partitionableDevices: true }, []],
    ["DRAAdminAccess=false", { adminAccess: false }, []],
    ["DRADeviceTaints=false", {}, []],
    ["AllAlpha=true", { partitionableDevices: true, deviceTaints: true, consumableCapacity: true }, ["AllAlpha"]],
    [
      "AllAlpha=true,DRADeviceTaints=false",
      { partitionableDevices: true, deviceTaints: true, consumableCapacity: true },
      ["AllAlpha"],
    ],
    ["AllBeta=false", { adminAccess: false, prioritizedList: false }, ["AllBeta"]],
    ["DRAExtendedResource=true", {}, ["DRAExtendedResource"]],
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
