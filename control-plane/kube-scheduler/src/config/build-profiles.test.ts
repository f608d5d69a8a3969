import { createFakeClock, silentLogger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { ClusterState } from "../state/cluster-state.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { buildProfiles } from "./build-profiles.ts";
import { parseConfiguration } from "./read-configuration.ts";

/** Weight of a plugin by a profile's `plugins`. */
async function weightOf(name: string, plugins: object): Promise<number | undefined> {
  const head = { apiVersion: "kubescheduler.config.k8s.io/v1", kind: "KubeSchedulerConfiguration" };
  const config = await parseConfiguration(JSON.stringify({ ...head, profiles: [{ plugins }] }));
  const clock = createFakeClock();
  const profiles = buildProfiles(config, {
    clock,
    foreign: new Map(),
    builtIn: (args, all) =>
      defaultPlugins(
        {
          binder: () => Promise.resolve(),
          budgets: () => [],
          volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
          owners: { selectorOf: () => undefined },
        },
        args,
        all,
      ),
    handle: {
      client: {} as ApiClient,
      clock,
      logger: silentLogger,
      snapshot: new ClusterState(),
      waitingPods: () => [],
      activate: () => undefined,
    },
  });
  return profiles.get("default-scheduler")?.plugins.find(({ plugin }) => plugin.name === name)?.weight;
}

describe("how much a plugin's scores count", () => {
  const taints = "TaintToleration";
  it.each<[string, object, number]>([
    ["as upstream has it", {}, 3],
    ["as is said where scores are", { score: { enabled: [{ name: taints, weight: 7 }] } }, 7],
    ["once, where it is enabled again without a weight", { score: { enabled: [{ name: taints }] } }, 1],
    [
      "as is said where scores are, whatever is said elsewhere",
      {
        multiPoint: { enabled: [{ name: taints, weight: 5 }] },
        score: { enabled: [{ name: taints, weight: 2 }] },
      },
      2,
    ],
  ])("%s", async (_, plugins, expected) => expect(await weightOf(taints, plugins)).toBe(expected));
});
