import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { ConfigMap, Secret, Service } from "@coracle/api/core/v1";
import { Cleanup, systemClock } from "@coracle/base";
import { startArena, type Arena, type Sides } from "../arena.ts";
import { any } from "../picture.ts";
import { NODES } from "../stage.ts";
import { openCamera } from "./camera.ts";
import { FAMILIES } from "./families.ts";
import { Boat, Fleet } from "./families/owners.ts";
import { playKills } from "./kills.ts";
import { playHistory, type Difference, type Side } from "./history.ts";

const { values } = parseArgs({
  options: {
    /** `controllers`: ours, killed at random moments; `exchange`: ours beside upstream's. */
    only: { type: "string", default: "controllers" },
    "peer-kube-controller-manager": { type: "string" },
    families: { type: "string", default: Object.keys(FAMILIES).join(",") },
    /** Histories of each family, and steps of each. */
    rounds: { type: "string", default: "20" },
    steps: { type: "string", default: "16" },
    seed: { type: "string", default: "5" },
    "at-once": { type: "string", default: "6" },
    report: { type: "string" },
  },
});

/** What takes long by default and means nothing here. */
const FLAGS = ["--horizontal-pod-autoscaler-sync-period=4s", "--pvclaimbinder-sync-period=2s"];

async function define(arena: Arena): Promise<void> {
  for (const { group, version, kind, plural, namespaced } of [Boat, Fleet]) {
    const name = `${plural}.${group}`;
    await arena.admin.create(CustomResourceDefinition, {
      metadata: { name },
      spec: {
        group,
        scope: namespaced ? "Namespaced" : "Cluster",
        names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
        versions: [
          {
            name: version,
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        ],
      },
    } as unknown as CustomResourceDefinition);
  }
  for (const type of [Boat, Fleet]) await arena.until("the kinds are served", async () => arena.admin.list(type, {}));
}

async function openSide(name: string, controllers: Sides["controllers"], cleanup: Cleanup): Promise<Side> {
  const arena = cleanup.use(await startArena({ apiServer: "ours", controllers, flags: FLAGS }, NODES));
  await define(arena);
  const more = [HorizontalPodAutoscaler, ConfigMap, Secret, Service, Boat, Fleet].map(any);
  const camera = cleanup.use(await openCamera(arena.admin, more));
  return { name, place: arena, camera };
}

async function compare(kubeControllerManager: string): Promise<boolean> {
  await using cleanup = new Cleanup();
  const sides = [
    await openSide("ours", "ours", cleanup),
    await openSide("theirs", { kubeControllerManager }, cleanup),
  ] as const;
  const wanted: { readonly name: string; readonly seed: number; readonly namespace: string }[] = [];
  for (let round = 0; round < Number(values.rounds); round++)
    for (const name of values.families.split(",")) {
      if (FAMILIES[name] === undefined)
        throw new Error(`there is no ${name}; known: ${Object.keys(FAMILIES).join(", ")}`);
      const seed = Number(values.seed) + round;
      wanted.push({ name, seed, namespace: `${name}-${seed}` });
    }
  const counts = new Map<string, Map<string, number>>();
  const differences: Difference[] = [];
  const next = wanted.values();
  const work = async (): Promise<void> => {
    for (const each of next) {
      const family = FAMILIES[each.name];
      if (family === undefined) continue;
      const played = await playHistory(sides, { ...each, family, length: Number(values.steps) });
      const known = counts.get(each.name) ?? new Map<string, number>();
      counts.set(each.name, known);
      for (const [step, count] of played.counts) known.set(step, (known.get(step) ?? 0) + count);
      differences.push(...played.differences);
      for (const difference of played.differences) process.stdout.write(`${describe(difference)}\n`);
    }
  };
  await Promise.all(Array.from({ length: Number(values["at-once"]) }, work));
  for (const [name, known] of counts) {
    const of = (fits: (step: string) => boolean): number =>
      [...known].reduce((sum, [step, count]) => sum + (fits(step) ? count : 0), 0);
    const isIdle = (step: string): boolean => step.endsWith(": nothing to do");
    const differing = differences.filter((each) => each.family === name).length;
    const line = {
      name,
      steps: of((step) => !isIdle(step)),
      refused: of((step) => step.endsWith(": refused")),
      idle: of(isIdle),
    };
    process.stdout.write(`${JSON.stringify({ ...line, differences: differing })}\n`);
  }
  if (values.report !== undefined) {
    const taken = Object.fromEntries([...counts].map(([name, known]) => [name, Object.fromEntries(known)]));
    writeFileSync(values.report, JSON.stringify({ differences, taken }, undefined, 1));
  }
  return differences.length === 0;
}

function describe({ family, seed, steps, what, details }: Difference): string {
  return [`${family}, seed ${seed}, ${what}, after: ${steps.join(" | ")}`, ...details.map((line) => `  ${line}`)].join(
    "\n",
  );
}

/** One line of JSON, as of the store's histories. */
async function survive(): Promise<boolean> {
  const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
  const startedAt = systemClock.monotonicMs();
  const { checked, faults } = await playKills({ rounds, seed });
  const seconds = Math.round((systemClock.monotonicMs() - startedAt) / 1000);
  const result = { name: "controllers", rounds, seed, checked, seconds };
  process.stdout.write(`${JSON.stringify({ ...result, faults: faults.length, first: faults.slice(0, 5) })}\n`);
  return faults.length === 0;
}

const { "peer-kube-controller-manager": peer } = values;
if (values.only === "controllers") process.exit((await survive()) ? 0 : 1);
if (peer === undefined) throw new Error("--peer-kube-controller-manager says where upstream's controllers are");
process.exit((await compare(peer)) ? 0 : 1);
