import { fileURLToPath } from "node:url";
import type { Node, Pod } from "@coracle/api/core/v1";
import { createFakeClock, createSeededRandom, silentLogger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { buildProfiles } from "../config/build-profiles.ts";
import { completed, parseConfiguration, readWritten } from "../config/read-configuration.ts";
import { schedulePod } from "../cycle/schedule-pod.ts";
import { explainPod } from "../debug/explain.ts";
import type { Plugin } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { guardPlugin } from "./guarded-plugin.ts";
import { loadPluginModules, type PluginFactory } from "./plugin-module.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/15-scheduler-plugin/scheduler.yaml", import.meta.url));
const HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

const node = (name: string, price: string, cpu: string): Node => ({
  metadata: { name, labels: { "example.com/price": price } },
  spec: {},
  status: { allocatable: { cpu, memory: "64Gi", pods: "110" } },
});
const pod: Pod = {
  metadata: { name: "p", namespace: "d", uid: "1" },
  spec: { containers: [{ name: "c", resources: { requests: { cpu: "1" } } }] },
};

function setUp(): ClusterState {
  const state = new ClusterState();
  for (const each of [node("small", "1", "2"), node("large", "5", "64"), node("golden", "50", "64")])
    state.setNode(each);
  return state;
}

async function profilesOf(text: string, foreign: ReadonlyMap<string, PluginFactory>, state = setUp()) {
  const { defaultPlugins } = await import("../plugins/index.ts");
  const lookup = new Proxy({}, { get: () => () => undefined }) as never;
  const clock = createFakeClock();
  return buildProfiles(text === EXAMPLE ? completed(await readWritten(text)) : await parseConfiguration(text), {
    clock,
    foreign,
    builtIn: (args, all) =>
      defaultPlugins(
        {
          binder: () => Promise.resolve(),
          budgets: () => [],
          volumes: lookup,
          owners: { selectorOf: () => undefined },
        } as unknown as Parameters<typeof defaultPlugins>[0],
        args,
        all,
      ),
    handle: {
      client: {} as ApiClient,
      clock,
      logger: silentLogger,
      snapshot: state,
      waitingPods: () => [],
      activate: () => undefined,
    },
  });
}

const place = ({ plugins }: Profile, state: ClusterState): string => {
  const decision = schedulePod(pod, state, { plugins, random: createSeededRandom(1), startAt: 0 });
  return decision.type === "fits" ? decision.nodeName : decision.message;
};

describe("a plugin of the user", () => {
  it("changes where pods of its profile go, and no others", async () => {
    const state = setUp();
    const profiles = await profilesOf(
      EXAMPLE,
      await loadPluginModules(completed(await readWritten(EXAMPLE)), EXAMPLE),
      state,
    );
    expect(place(profiles.get("thrifty")!, state)).toBe("small");
    expect(place(profiles.get("default-scheduler")!, state)).not.toBe("small");
    const { nodes } = explainPod(pod, profiles.get("thrifty")!, state);
    expect(nodes.map((each) => [each.node, each.refusedBy])).toEqual([
      ["small", undefined],
      ["large", undefined],
      ["golden", "CheapestFirst"],
    ]);
    expect(nodes[0]?.scores?.CheapestFirst).toEqual({ score: 90, weight: 20 });
  });
  it("that cannot be loaded is named", async () => {
    const text = `${HEAD}profiles: [{pluginConfig: [{name: Mine, args: {module: ./nothing.mjs}}]}]`;
    await expect(loadPluginModules(await parseConfiguration(text), EXAMPLE)).rejects.toThrow('loading plugin "Mine"');
  });
  it("that throws, or scores out of range, is named in the error", () => {
    const broken: Plugin = {
      name: "Broken",
      filter: () => {
        throw new Error("boom");
      },
      score: () => 101,
    };
    const guarded = guardPlugin(broken, createFakeClock());
    expect(() => guarded.filter?.(new Map(), pod, setUp().nodes()[0]!)).toThrow('running "Broken" filter plugin: boom');
    expect(() => guarded.normalize?.(new Map(), pod, [101], [])).toThrow(
      'plugin "Broken" returns an invalid score 101, it should in the range of [0, 100] after normalizing',
    );
  });
  it("that hangs fails in the end", async () => {
    const clock = createFakeClock();
    const guarded = guardPlugin({ name: "Sleepy", bind: () => new Promise<boolean>(() => undefined) }, clock);
    const answer = guarded.bind?.(new Map(), pod, "a").catch((error: unknown) => (error as Error).message);
    await clock.advance(60_000);
    expect(await answer).toBe('running Bind plugin "Sleepy": no answer within 60s');
  });
});

describe("profiles that cannot be had are refused as upstream does", () => {
  const refusal = async (plugins: string): Promise<string> =>
    await profilesOf(`${HEAD}profiles: [{schedulerName: a, plugins: ${plugins}}]`, new Map()).then(
      () => "",
      (error: unknown) =>
        (error as Error).message.replace("initializing profiles: creating profile for scheduler name a: ", ""),
    );
  it.each([
    ["{filter: {enabled: [{name: X}]}}", 'FilterPlugin "X" does not exist'],
    ["{multiPoint: {enabled: [{name: X}]}}", 'PreFilterPlugin "X" does not exist'],
    ["{score: {enabled: [{name: NodeName}]}}", 'plugin "NodeName" does not extend ScorePlugin plugin'],
    ["{bind: {disabled: [{name: '*'}]}}", 'at least one bind plugin is needed for profile with scheduler name "a"'],
    [
      "{queueSort: {disabled: [{name: '*'}]}}",
      `only one queue sort plugin required for profile with scheduler name "a", but got 0`,
    ],
  ])("%s", async (plugins, message) => expect(await refusal(plugins)).toBe(message));

  it("points can be turned off one by one, and put in another order", async () => {
    const profiles = await profilesOf(
      `${HEAD}profiles: [{plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 7}, {name: NodeAffinity}]}}}]`,
      new Map(),
    );
    const plugins = profiles.get("default-scheduler")?.plugins ?? [];
    expect(
      plugins.filter(({ plugin }) => plugin.score !== undefined).map(({ plugin, weight }) => [plugin.name, weight]),
    ).toEqual([
      ["ImageLocality", 7],
      ["NodeAffinity", 1],
    ]);
    expect(plugins.filter(({ plugin }) => plugin.filter !== undefined).map(({ plugin }) => plugin.name)).toContain(
      "NodeResourcesFit",
    );
  });
});
