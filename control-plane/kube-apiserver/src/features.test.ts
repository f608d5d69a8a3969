import { describe, expect, it } from "vitest";
import { gatedPolicy } from "./bootstrap/gated-policy.ts";
import { readFeatures, servedWith } from "./features.ts";

const migrations = {
  group: "storagemigration.k8s.io",
  version: "v1beta1",
  plural: "storageversionmigrations",
  enabledByDefault: false,
};

describe("features", () => {
  it.each<[string, string[], boolean, boolean]>([
    ["none by default", [], false, false],
    ["by name", ["StorageVersionMigrator=true"], true, false],
    ["of a stage", ["AllAlpha=true"], false, true],
    ["of another stage, but for one", ["AllBeta=true", "StorageVersionMigrator=false"], false, false],
  ])("are on: %s", (_which, items, migrates, taints) => {
    const features = readFeatures(items);
    expect(features.has("StorageVersionMigrator")).toBe(migrates);
    expect(features.has("DRADeviceTaints")).toBe(taints);
  });

  it("their kinds are served with them and where they are asked for, not else", () => {
    const on = readFeatures(["StorageVersionMigrator=true"]);
    expect(servedWith(on, () => true)(migrations)).toBe(true);
    expect(servedWith(on)(migrations)).toBe(false);
    expect(servedWith(readFeatures([]), () => true)(migrations)).toBe(false);
  });

  it("add to the roles there are, one after another", () => {
    const { controllers, roles } = gatedPolicy(readFeatures(["DRADeviceTaints=true", "DRADeviceTaintRules=true"]));
    expect(controllers.get("device-taint-eviction-controller")?.map(({ resources }) => resources?.join())).toEqual([
      "pods",
      "pods/status",
      "resourceclaims",
      "resourceslices",
      "deviceclasses",
      "events",
      "devicetaintrules/status",
      "devicetaintrules",
    ]);
    expect([...roles.keys()]).toEqual(["system:kube-scheduler"]);
  });
});
