import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { clusterNetworkOf, namespacedNodes } from "../cluster-network.ts";
import { nthAddress } from "../cluster-config.ts";
import { isAlive, listClusters, readState, startTicksOf, writeState, type ClusterState } from "./cluster-state.ts";

describe("the record of a running cluster", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "coracle-state-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("is read as it was written; a name that nothing runs under has none", () => {
    const state: ClusterState = {
      name: "a",
      dataDir: "/d",
      runDir: join(root, "a"),
      kubeconfig: "/k",
      phase: "running",
      processes: [],
    };
    writeState(join(root, "a/state.json"), state);
    expect(readState("a", root)).toEqual(state);
    expect(readState("b", root)).toBeUndefined();
    expect(listClusters(root)).toEqual(["a"]);
    expect(listClusters(join(root, "nowhere"))).toEqual([]);
  });

  it("knows a process by its number and its start: a later one of the same number is another", () => {
    const startTicks = startTicksOf(process.pid) ?? 0;
    expect(isAlive({ pid: process.pid, startTicks })).toBe(true);
    expect(isAlive({ pid: process.pid, startTicks: startTicks - 1 })).toBe(false);
    expect(isAlive({ pid: 2 ** 22 + 1, startTicks })).toBe(false);
  });
});

describe("addresses of a cluster", () => {
  it("counts within a range", () => {
    expect(nthAddress("10.96.0.0/16", 10)).toBe("10.96.0.10");
    expect(nthAddress("10.96.0.0/16", 300)).toBe("10.96.1.44");
  });
  it("gives clusters beside one another different links, and nodes on it an address each", () => {
    expect(clusterNetworkOf("a").bridge).not.toBe(clusterNetworkOf("b").bridge);
    expect(clusterNetworkOf("a").serviceMetric).not.toBe(clusterNetworkOf("b").serviceMetric);
    expect(clusterNetworkOf("a").bridge.length + 2).toBeLessThanOrEqual(15);
    const { hostAddress } = clusterNetworkOf("a");
    expect(namespacedNodes("a", 2, true)).toMatchObject([
      {
        name: "node-1",
        address: hostAddress.replace(/1$/, "11"),
        hasDns: true,
        networkNamespace: "/run/netns/coracle-a-1",
      },
      { name: "node-2", address: hostAddress.replace(/1$/, "12"), hasDns: false },
    ]);
  });
});
