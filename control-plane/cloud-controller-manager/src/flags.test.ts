import { describe, expect, it } from "vitest";
import { controllers, isEnabled } from "./controllers.ts";
import { parseCloudControllerManagerFlags } from "./flags.ts";

describe("the command line", () => {
  it("must name a provider", () => {
    expect(() => parseCloudControllerManagerFlags([])).toThrow("--cloud-provider cannot be empty");
  });
  it("refuses controllers that nobody knows", () => {
    expect(() => parseCloudControllerManagerFlags(["--cloud-provider=local", "--controllers=*,-nonsense"])).toThrow(
      '"nonsense" is not in the list of known controllers',
    );
  });
  it("has upstream's defaults", () => {
    expect(parseCloudControllerManagerFlags(["--cloud-provider=local"])).toMatchObject({
      configureCloudRoutes: true,
      routeReconciliationPeriodMs: 10_000,
      nodeMonitorPeriodMs: 5000,
      nodeStatusUpdateFrequencyMs: 300_000,
      concurrentServiceSyncs: 1,
      securePort: 10_258,
      leaderElectResourceName: "cloud-controller-manager",
    });
  });
  it("selects controllers by their names, and by the former ones", () => {
    const chosen = (selection: string) =>
      controllers.filter((each) => isEnabled(each.name, selection.split(","))).map(({ name }) => name);
    expect(chosen("*,-route")).toEqual([
      "cloud-node-controller",
      "cloud-node-lifecycle-controller",
      "service-lb-controller",
    ]);
    expect(chosen("service")).toEqual(["service-lb-controller"]);
    expect(chosen("*,-service-lb-controller,-cloud-node")).toEqual([
      "cloud-node-lifecycle-controller",
      "node-route-controller",
    ]);
  });
});
