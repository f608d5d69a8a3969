import { describe, expect, it } from "vitest";
import { durationSeconds, parseKubeletFlags } from "./flags.ts";

describe("kubelet flags", () => {
  it("have upstream's names", () => {
    const flags = parseKubeletFlags([
      "--kubeconfig=/k",
      "--hostname-override=N1",
      "--node-ip=192.0.2.1",
      "--max-pods=20",
      "--cluster-dns=10.96.0.10",
      "--cloud-provider=external",
      "--provider-id=toy://n1",
      "--register-with-taints=a=b:NoSchedule",
    ]);
    expect(flags).toMatchObject({
      kubeconfig: "/k",
      nodeName: "n1",
      nodeIps: ["192.0.2.1"],
      configuration: {
        maxPods: 20,
        cloudProvider: "external",
        providerID: "toy://n1",
        providedNodeIPs: ["192.0.2.1"],
        clusterDNS: ["10.96.0.10"],
        registerWithTaints: [{ key: "a", value: "b", effect: "NoSchedule" }],
      },
    });
  });

  it.each([
    [[], "--kubeconfig is required"],
    [["--kubeconfig=/k", "--max-pods=x"], 'invalid argument "x" for "--max-pods" flag'],
    [["--kubeconfig=/k", "--cloud-provider=aws"], 'unsupported value "aws" for "--cloud-provider" flag'],
    [["--kubeconfig=/k", "--nonsense"], "--nonsense"],
  ])("%j are refused in one line", (argv, message) => expect(() => parseKubeletFlags(argv)).toThrow(message));

  it("spell durations as Go does", () => expect(["10s", "1m30s", "2h"].map(durationSeconds)).toEqual([10, 90, 7200]));
});
