import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { ConfigMap, Secret, Service } from "@coracle/api/core/v1";
import { Cleanup } from "@coracle/base";
import { startArena, type Arena, type Sides } from "../arena.ts";
import { any } from "../picture.ts";
import { NODES } from "../stage.ts";
import { openCamera } from "./camera.ts";
import { FAMILIES } from "./families.ts";
import { Boat, Fleet } from "./families/owners.ts";
import { playHistory, type Difference, type Side } from "./history.ts";

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

/** What is to be played. */
interface Repertoire {
  readonly kubeControllerManager: string;
  readonly families: readonly string[];
  /** Histories of each family; each has the next seed. */
  readonly rounds: number;
  readonly seed: number;
  /** Steps of each history. */
  readonly steps: number;
  /** Histories side by side. */
  readonly atOnce: number;
  /** Told of each difference when it is found. */
  found(difference: Difference): void;
}

/** How often each step was taken, by family. */
export type Counts = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Plays random histories by our controllers and by upstream's, each on an API server of ours, and compares after each step. */
export async function compareHistories(repertoire: Repertoire): Promise<Counts> {
  const { kubeControllerManager, families, rounds, seed: firstSeed, steps, atOnce } = repertoire;
  await using cleanup = new Cleanup();
  const sides = [
    await openSide("ours", "ours", cleanup),
    await openSide("theirs", { kubeControllerManager }, cleanup),
  ] as const;
  const wanted = Array.from({ length: rounds }, (_, round) => firstSeed + round).flatMap((seed) =>
    families.map((name) => {
      const family = FAMILIES[name];
      if (family === undefined) throw new Error(`there is no ${name}; known: ${Object.keys(FAMILIES).join(", ")}`);
      return { name, family, seed, length: steps, namespace: `${name}-${seed}` };
    }),
  );
  const counts = new Map<string, Map<string, number>>();
  const next = wanted.values();
  const work = async (): Promise<void> => {
    for (const each of next) {
      const played = await playHistory(sides, each);
      const known = counts.get(each.name) ?? new Map<string, number>();
      counts.set(each.name, known);
      for (const [step, count] of played.counts) known.set(step, (known.get(step) ?? 0) + count);
      for (const difference of played.differences) repertoire.found(difference);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return counts;
}

/** A difference for people to read. */
export function describeDifference({ family, seed, steps, what, details }: Difference): string {
  const title = `${family}, seed ${seed}, ${what}, after: ${steps.join(" | ")}`;
  return [title, ...details.map((line) => `  ${line}`)].join("\n");
}
