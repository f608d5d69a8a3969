import type { Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom, type Random } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { Unfit } from "../framework/plugin.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { schedulePlainly } from "./schedule-plainly.ts";
import { schedulePod } from "./schedule-pod.ts";

const CLUSTERS = 20;
const STEPS = 40;

const below = (random: Random, end: number): number => Math.floor(random.next() * end);

function node(random: Random, i: number): Node {
  const allocatable = { pods: `${1 + below(random, 6)}`, cpu: `${1 + below(random, 4)}`, memory: "4Gi", "x/gpu": "2" };
  const taints = random.next() < 0.2 ? [{ key: "k", effect: "NoSchedule" }] : [];
  return { metadata: { name: `n${i}` }, spec: { taints }, status: { allocatable } };
}

let serial = 0;

function pod(requests: Readonly<Record<string, string>>): Pod {
  const name = `p${++serial}`;
  return {
    metadata: { name, namespace: "one", uid: name },
    spec: { containers: [{ name: "c", resources: { requests } }] },
  };
}

const small = (random: Random): Pod =>
  pod({ cpu: `${below(random, 900)}m`, memory: `${below(random, 900)}Mi`, "x/gpu": `${below(random, 2)}` });

function plugins() {
  const deps = {
    binder: () => Promise.resolve(),
    budgets: () => [],
    volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
    owners: { selectorOf: () => undefined },
  } as Parameters<typeof defaultPlugins>[0];
  return defaultPlugins(deps);
}

describe("a pod that is tried again and again", () => {
  it("is told the same as by looking at every node, and what it was told stays so", () => {
    for (let seed = 0; seed < CLUSTERS; seed++) {
      const random = createSeededRandom(seed);
      const state = new ClusterState();
      const deps = { plugins: plugins(), random, startAt: 0, percentageOfNodesToScore: 100 };
      for (let i = 0; i < 8; i++) state.setNode(node(random, i));
      const large = pod({ cpu: random.next() < 0.5 ? "100" : "2", memory: "3Gi", "x/gpu": "2" });
      const placed: Pod[] = [];
      const told: { readonly lazy: ReadonlyMap<string, Unfit>; readonly plain: ReadonlyMap<string, Unfit> }[] = [];
      for (let step = 0; step < STEPS; step++) {
        const other = small(random);
        const decision = schedulePod(other, state, deps);
        if (decision.type === "fits") {
          const bound = { ...other, spec: { ...other.spec, nodeName: decision.nodeName } };
          state.setPod(bound);
          placed.push(bound);
        }
        const leaving = random.next() < 0.3 ? placed.pop() : undefined;
        if (leaving !== undefined) state.removePod(leaving);
        if (random.next() < 0.1) state.setNode(node(random, below(random, 8)));
        const fast = schedulePod(large, state, deps);
        const plain = schedulePlainly(large, state, deps);
        expect(fast.type).toBe(plain.type);
        if (fast.type === "fits" || plain.type === "fits") continue;
        expect(fast.message).toBe(plain.message);
        expect([...fast.plugins].sort()).toEqual([...plain.plugins].sort());
        told.push({ lazy: fast.unfit, plain: plain.unfit });
      }
      for (const { lazy, plain } of told) expect(new Map([...lazy].sort())).toEqual(new Map([...plain].sort()));
    }
  });
});
