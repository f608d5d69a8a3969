import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { createSeededRandom, type Random } from "@coracle/base";
import type { PostFilterResult } from "../framework/plugin.ts";
import { planPreemption } from "../preemption/plan.ts";
import { defaultPlugins, type PluginEntry } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { enoughNodes, type Decision } from "./decision.ts";
import { schedulePod } from "./schedule-pod.ts";
import { schedulePlainly } from "./schedule-plainly.ts";

/** How many decisions are compared; `TWIN_SEED` compares others. */
const CASES = Number(process.env["TWIN_CASES"] ?? 20_000);
const SEED = Number(process.env["TWIN_SEED"] ?? 1);
const PER_CLUSTER = 50;

class Dice {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }
  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  one<T>(...values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }
  /** Each of them with some chance. */
  some<T>(percent: number, ...values: readonly T[]): T[] {
    return values.filter(() => this.chance(percent));
  }
}

const ZONE = "topology.kubernetes.io/zone";
const HOSTNAME = "kubernetes.io/hostname";
const MIB = 1024 * 1024;
const ODD_AMOUNTS = ["-1", "9223372036854775807", "99999999999999999999", "0"] as const;

function randomNode(dice: Dice, name: string): Node {
  const labels: Record<string, string> = { [HOSTNAME]: name };
  if (dice.chance(85)) labels[ZONE] = dice.one("a", "b", "c");
  if (dice.chance(50)) labels["disk"] = dice.one("ssd", "hdd");
  if (dice.chance(30)) labels["size"] = dice.one("1", "5", "big");
  const node: Node = {
    metadata: { name, labels },
    spec: {
      ...(dice.chance(8) ? { unschedulable: true } : {}),
      ...(dice.chance(30)
        ? {
            taints: [
              {
                key: dice.one("k", "l"),
                value: dice.one("v", "w"),
                effect: dice.one("NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute"),
              },
            ],
          }
        : {}),
    },
  };
  if (dice.chance(3)) return node; // no status yet
  return {
    ...node,
    status: {
      allocatable: {
        cpu: dice.one("2", "4", "8", "500m"),
        memory: dice.one("4Gi", "8Gi", "32Gi"),
        pods: dice.one("3", "10", "110"),
        ...(dice.chance(20) ? { "example.com/gpu": dice.one("1", "4") } : {}),
        ...(dice.chance(2) ? { memory: dice.one(...ODD_AMOUNTS) } : {}),
      },
      images: dice
        .some(40, "app:1", "db:2", "base:latest")
        .map((image) => ({ names: [image], sizeBytes: dice.one(10, 100, 900) * MIB })),
    },
  };
}

const randomSelector = (dice: Dice) =>
  dice.chance(10)
    ? { matchExpressions: [{ key: "app", operator: dice.one("Exists", "DoesNotExist"), values: [] }] }
    : dice.chance(4)
      ? {}
      : { matchLabels: { app: dice.one("web", "db", "job") } };

const randomTerm = (dice: Dice) => ({
  topologyKey: dice.one(ZONE, HOSTNAME, ZONE, "disk"),
  labelSelector: randomSelector(dice),
  ...(dice.chance(15) ? { namespaces: ["one", "two"] } : {}),
  ...(dice.chance(15)
    ? { namespaceSelector: dice.chance(40) ? {} : { matchLabels: { team: dice.one("x", "y") } } }
    : {}),
  ...(dice.chance(10) ? { matchLabelKeys: ["version"] } : {}),
});

const randomRequirement = (dice: Dice) => ({
  key: dice.one("disk", "size", ZONE),
  operator: dice.one("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
  values: [dice.one("ssd", "3", "a")],
});

let serial = 0;
function randomPod(dice: Dice): Pod {
  const name = `p${++serial}`;
  const labels: Record<string, string> = {};
  if (dice.chance(80)) labels["app"] = dice.one("web", "db", "job");
  if (dice.chance(20)) labels["version"] = dice.one("1", "2");
  const container = {
    name: "c",
    image: dice.one("app:1", "db:2", "base", "other"),
    resources: {
      requests: {
        ...(dice.chance(70) ? { cpu: dice.one("100m", "500m", "1", "3") } : {}),
        ...(dice.chance(60) ? { memory: dice.one("128Mi", "1Gi", "3Gi") } : {}),
        ...(dice.chance(8) ? { "example.com/gpu": dice.one("1", "2") } : {}),
        ...(dice.chance(1) ? { memory: dice.one(...ODD_AMOUNTS) } : {}),
      },
    },
    ...(dice.chance(12)
      ? { ports: [{ containerPort: 1, hostPort: dice.one(80, 81), hostIP: dice.one("", "10.0.0.1") }] }
      : {}),
  };
  const terms = (percent: number) =>
    dice.chance(percent) ? Array.from({ length: 1 + dice.below(2) }, () => randomTerm(dice)) : undefined;
  const weighted = (percent: number) =>
    terms(percent)?.map((podAffinityTerm) => ({ weight: 1 + dice.below(100), podAffinityTerm }));
  const nodeAffinity = {
    ...(dice.chance(12)
      ? {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [randomRequirement(dice)] }],
          },
        }
      : {}),
    ...(dice.chance(15)
      ? {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1 + dice.below(100), preference: { matchExpressions: [randomRequirement(dice)] } },
            { weight: 1 + dice.below(100), preference: { matchExpressions: [randomRequirement(dice)] } },
          ],
        }
      : {}),
    ...(dice.chance(3)
      ? {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchFields: [{ key: "metadata.name", operator: "In", values: [`n${dice.below(8)}`] }] },
            ],
          },
        }
      : {}),
  };
  const affinity = {
    ...(Object.keys(nodeAffinity).length > 0 ? { nodeAffinity } : {}),
    ...(dice.chance(25)
      ? {
          podAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: terms(35),
            preferredDuringSchedulingIgnoredDuringExecution: weighted(50),
          },
        }
      : {}),
    ...(dice.chance(25)
      ? {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: terms(40),
            preferredDuringSchedulingIgnoredDuringExecution: weighted(50),
          },
        }
      : {}),
  };
  return {
    metadata: { name, namespace: dice.one("one", "one", "two"), uid: name, labels },
    spec: {
      containers: dice.chance(15) ? [container, { ...container, name: "d", ports: [] }] : [container],
      ...(dice.chance(10) ? { initContainers: [{ ...container, restartPolicy: dice.one("Always", undefined) }] } : {}),
      priority: dice.one(0, 0, 0, 10, 100),
      ...(Object.keys(affinity).length > 0 ? { affinity } : {}),
      ...(dice.chance(6) ? { nodeSelector: { disk: "ssd" } } : {}),
      ...(dice.chance(30)
        ? {
            tolerations: [
              { key: "k", operator: dice.one("Exists", "Equal"), value: "v", effect: dice.one("", "NoSchedule") },
            ],
          }
        : {}),
      ...(dice.chance(3) ? { tolerations: [{ operator: "Exists" }] } : {}),
      ...(dice.chance(20)
        ? {
            topologySpreadConstraints: Array.from({ length: 1 + dice.below(2) }, () => ({
              maxSkew: 1 + dice.below(3),
              topologyKey: dice.one(ZONE, HOSTNAME, "disk"),
              whenUnsatisfiable: dice.one("DoNotSchedule", "ScheduleAnyway"),
              labelSelector: randomSelector(dice),
              ...(dice.chance(20) ? { minDomains: 1 + dice.below(4) } : {}),
              ...(dice.chance(20) ? { nodeAffinityPolicy: "Ignore" } : {}),
              ...(dice.chance(30) ? { nodeTaintsPolicy: "Honor" } : {}),
              ...(dice.chance(15) ? { matchLabelKeys: ["version"] } : {}),
            })),
          }
        : {}),
    },
  };
}

/** A plugin that knows nothing of columns: likes and dislikes nodes by their names. */
const byName: PluginEntry = {
  weight: 1,
  plugin: {
    name: "ByName",
    preFilter: (_, pod) => ({ skip: pod.metadata.labels?.["version"] !== "2" }),
    filter: (_, __, node) => (node.name.endsWith("3") ? { reasons: ["the name"], isFinal: true } : undefined),
    preScore: (_, pod) => ({ skip: pod.metadata.labels?.["version"] !== "2" }),
    score: (_, __, node) => node.name.charCodeAt(1) % 7,
  },
};

const BUDGETS: readonly PodDisruptionBudget[] = ["web", "db"].map((app, i) => ({
  metadata: { name: app, namespace: "one" },
  spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed: i, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 },
}));

function profile(dice: Dice): readonly PluginEntry[] {
  const all: PluginEntry[] = [];
  const deps = {
    binder: () => Promise.resolve(),
    budgets: () => BUDGETS,
    volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
    owners: {
      selectorOf: ({ metadata: { labels } }) =>
        labels?.["app"] === "web" ? { matchLabels: { app: "web" } } : undefined,
    },
  } as Parameters<typeof defaultPlugins>[0];
  // Preemption asks all of them, the one that is put behind them too.
  all.push(...defaultPlugins(deps, undefined, () => all));
  if (dice.chance(30)) all.push(byName);
  return all;
}

/** Every node that the plain twin could have chosen: one decision for each way chance could go. */
function plainChoices(pod: Pod, state: ClusterState, plugins: readonly PluginEntry[]): Decision | Set<string> {
  const choices = new Set<string>();
  for (const next of [0, 0.999_999]) {
    const deps = { plugins, random: { next: () => next }, startAt: 0, percentageOfNodesToScore: 100 };
    const decision = schedulePlainly(pod, state, deps);
    if (decision.type === "unfit") return decision;
    choices.add(decision.nodeName);
  }
  // How many equals there are does not show: all steps of a fine enough comb meet them all.
  const steps = state.nodes().length;
  for (let i = 0; i < steps && choices.size > 1; i++) {
    const next = (i + 0.5) / steps;
    const decision = schedulePlainly(pod, state, {
      plugins,
      random: { next: () => next },
      startAt: 0,
      percentageOfNodesToScore: 100,
    });
    if (decision.type === "fits") choices.add(decision.nodeName);
  }
  return choices;
}

function change(dice: Dice, state: ClusterState, placed: Map<string, Pod>): void {
  if (dice.chance(12)) state.setNode(randomNode(dice, `n${dice.below(14)}`));
  if (dice.chance(3)) state.removeNode(`n${dice.below(14)}`);
  if (dice.chance(3)) state.setNamespace(dice.one("one", "two"), { team: dice.one("x", "y") });
  const [some] = [...placed.values()].slice(dice.below(Math.max(1, placed.size)));
  if (some !== undefined && dice.chance(30)) {
    state.removePod(some);
    placed.delete(some.metadata.uid ?? "");
  } else if (some !== undefined && dice.chance(20)) {
    const metadata = { ...some.metadata, labels: { app: dice.one("web", "db") } };
    const leaving = {
      ...some,
      metadata: dice.chance(30) ? { ...metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } : metadata,
    };
    state.setPod(leaving);
    placed.set(some.metadata.uid ?? "", leaving);
  } else if (some !== undefined && dice.chance(25)) {
    const started = { ...some, status: { ...some.status, startTime: `2026-01-0${1 + dice.below(9)}T00:00:00Z` } };
    state.setPod(started);
    placed.set(some.metadata.uid ?? "", started);
  }
}

type Refused = Extract<Decision, { type: "unfit" }>;

/** Where room could be made, out of what is kept. */
function room(pod: Pod, { unfit }: Refused, state: ClusterState, plugins: readonly PluginEntry[]) {
  const preemption = plugins.find(({ plugin }) => plugin.name === "DefaultPreemption")?.plugin;
  return chosenOf(preemption?.postFilter?.(pod, unfit, state));
}

function plainRoom(pod: Pod, { unfit }: Refused, state: ClusterState, plugins: readonly PluginEntry[]) {
  const result = planPreemption(pod, unfit, state, plugins, BUDGETS);
  return result.type === "none" ? { ...result, message: `preemption: ${result.message}` } : chosenOf(result);
}

/** Who else could leave is told where it was looked up anew: only extenders ask for it. */
function chosenOf(result: PostFilterResult | undefined): object | undefined {
  if (result?.type !== "nominated") return result;
  const { nodeName, victims } = result;
  return { nodeName, victims };
}

function compare(dice: Dice, pod: Pod, state: ClusterState, plugins: readonly PluginEntry[]): string | undefined {
  const fast = schedulePod(pod, state, {
    plugins,
    random: { next: () => dice.below(1_000) / 1_000 },
    startAt: dice.below(5),
    percentageOfNodesToScore: 100,
  });
  const plain = plainChoices(pod, state, plugins);
  if (!(plain instanceof Set)) {
    if (plain.type === "fits") throw new Error("a set was due");
    expect(fast.type === "unfit" ? fast.message : fast).toBe(plain.message);
    if (fast.type === "unfit") {
      expect(new Map([...fast.unfit].sort())).toEqual(new Map([...plain.unfit].sort()));
      expect([...fast.plugins].sort()).toEqual([...plain.plugins].sort());
    }
    if (fast.type === "unfit") expect(room(pod, fast, state, plugins)).toEqual(plainRoom(pod, plain, state, plugins));
    return undefined;
  }
  expect(fast.type === "fits" ? [...plain] : fast).toContain(fast.type === "fits" ? fast.nodeName : "");
  return fast.type === "fits" ? fast.nodeName : undefined;
}

function play(seed: number, decisions: number): void {
  const dice = new Dice(createSeededRandom(seed));
  const state = new ClusterState();
  const plugins = profile(dice);
  const placed = new Map<string, Pod>();
  const nodes = 1 + dice.below(12);
  for (let i = 0; i < nodes; i++) state.setNode(randomNode(dice, `n${i}`));
  const templates = Array.from({ length: 6 }, () => randomPod(dice));
  const waiting: Pod[] = [];
  for (let i = 0; i < decisions; i++) {
    let pod = randomPod(dice);
    if (dice.chance(60)) {
      // One that looks like others before it.
      const { spec, metadata } = dice.one(...(templates as [Pod, ...Pod[]]));
      pod = { metadata: { ...pod.metadata, labels: metadata.labels, namespace: metadata.namespace }, spec };
    }
    const again = waiting.pop();
    if (again !== undefined && dice.chance(50)) pod = again;
    const nodeName = compare(dice, pod, state, plugins);
    if (nodeName === undefined) {
      if (dice.chance(25)) {
        state.nominate(pod, `n${dice.below(nodes)}`);
        waiting.push(pod);
      }
    } else {
      state.denominate(pod);
      state.assume(pod, nodeName);
      const bound = { ...pod, spec: { ...pod.spec, nodeName } };
      if (dice.chance(10)) state.forget(pod);
      else placed.set(pod.metadata.uid ?? "", bound);
      if (dice.chance(50) && state.isAssumed(pod)) state.setPod(bound);
    }
    change(dice, state, placed);
  }
}

describe("columns and the plain twin", () => {
  it("decide alike on random clusters: the same choices, the same refusals", { timeout: 3_600_000 }, () => {
    for (let done = 0; done < CASES; done += PER_CLUSTER) {
      const seed = SEED * 1_000_000 + done;
      try {
        play(seed, PER_CLUSTER);
      } catch (error) {
        throw new Error(`cluster with seed ${seed}`, { cause: error });
      }
    }
  });

  it("all nodes are enough where all are asked for", () => expect(enoughNodes(10_000, 100)).toBe(10_000));
});
