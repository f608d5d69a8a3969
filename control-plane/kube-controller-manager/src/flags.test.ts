import { UsageError } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { defaultFlags, parseControllerManagerFlags } from "./flags.ts";

describe("kube-controller-manager's command line", () => {
  it("says nothing: upstream's defaults", () => {
    expect(parseControllerManagerFlags([])).toEqual(defaultFlags);
    expect(defaultFlags).toMatchObject({ securePort: 10_257, nodeMonitorGracePeriodMs: 50_000, controllers: ["*"] });
  });
  it("reads numbers, lists, durations, and switches that stand alone", () => {
    const argv = ["--leader-elect=false", "--allocate-node-cidrs", "--controllers=*,-job-controller"];
    const more = ["--cluster-cidr", "10.1.0.0/16,fd00::/48", "--node-monitor-grace-period=1m30s", "--root-ca-file="];
    expect(parseControllerManagerFlags([...argv, ...more])).toMatchObject({
      leaderElect: false,
      allocateNodeCidrs: true,
      controllers: ["*", "-job-controller"],
      clusterCidr: ["10.1.0.0/16", "fd00::/48"],
      nodeMonitorGracePeriodMs: 90_000,
      rootCaFile: undefined,
    });
  });
  it.each([
    [["--no-such-flag"], "unknown flag: --no-such-flag"],
    [["--secure-port=x"], 'invalid argument "x" for "--secure-port" flag'],
    [["--kubeconfig"], "flag needs an argument: --kubeconfig"],
    [["extra"], 'unexpected argument "extra"'],
  ])("refuses %j in one line", (argv, message) => {
    expect(() => parseControllerManagerFlags(argv)).toThrow(new UsageError(message));
  });
});
