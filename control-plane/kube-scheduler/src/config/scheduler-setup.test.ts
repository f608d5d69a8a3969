import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  deviceTaintRules: false,
  consumableCapacity: false,
  bindingConditions: false,
  extendedResources: false,
};
const ALPHA = {
  partitionableDevices: true,
  deviceTaints: true,
  deviceTaintRules: true,
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
    ["AllAlpha=true,DRADeviceTaints=false", { ...ALPHA, deviceTaints: false, deviceTaintRules: false }, ["AllAlpha"]],
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

describe("clientConnection", () => {
  it.each<[string, object | undefined]>([
    ["", undefined],
    ["qps: 0, burst: 0", undefined],
    ["qps: 20", { qps: 20, burst: 100 }],
    ["burst: 10", { qps: 50, burst: 10 }],
    ["qps: -1, burst: 10", undefined],
  ])("{%s} limits requests to %j", async (text, limit) => {
    const dir = await mkdtemp(join(tmpdir(), "scheduler-setup-"));
    try {
      const file = join(dir, "config.yaml");
      const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
      await writeFile(file, `${head}clientConnection: {${text}}\n`);
      expect((await setupOf(`--config=${file}`))?.requestLimit).toEqual(limit);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it("is not limited without a file", async () => expect((await setupOf())?.requestLimit).toBeUndefined());
});
