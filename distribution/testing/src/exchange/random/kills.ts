import type { KubeObject } from "@coracle/api";
import { DaemonSet, Deployment, StatefulSet } from "@coracle/api/apps/v1";
import { Job } from "@coracle/api/batch/v1";
import { Namespace, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { createSeededRandom, sleep, systemClock, type Random } from "@coracle/base";
import type { ApiClient, ObjectKey } from "@coracle/client";
import { startArena } from "../arena.ts";
import { NODES } from "../stage.ts";
import { Actor, type Family, type Step } from "./actor.ts";
import { violationsOf, type PodChange } from "./bounds.ts";
import { openCamera, type Camera } from "./camera.ts";
import { FAMILIES } from "./families.ts";
import { take } from "./history.ts";

/** What may happen while bounds are kept: hands that take pods or sets from their controllers are no part of it. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  deployments: [
    "it is scaled",
    "it is scaled",
    "it gets another template",
    "it gets another template",
    "its template gets a label",
    "it is paused or resumed",
    "its strategy changes",
    "its limits change",
    "a pod fails",
    "a pod is deleted",
    "a pod becomes unready",
    "a pod becomes ready",
    "a budget is made, changed, or deleted",
    "all pods are to be evicted",
  ],
  "stateful-sets": [
    "it is scaled",
    "it is scaled",
    "it gets another template",
    "it gets another template",
    "its strategy changes",
    "its limits change",
    "it begins at another ordinal",
    "a pod fails",
    "a pod is deleted",
    "a pod becomes unready",
    "a pod becomes ready",
  ],
  daemons: [
    "it gets another template",
    "it gets another template",
    "its strategy changes",
    "its limits change",
    "a node is labelled otherwise",
    "a node is cordoned, or no more",
    "a node comes",
    "a pod fails",
    "a pod is deleted",
  ],
  jobs: [
    "another is made",
    "another is made",
    "one is wider or narrower",
    "one is suspended, or resumed",
    "several pods end well",
    "all pods end well",
    "a pod fails",
    "a pod is deleted",
  ],
};

const EVICTION = "all pods are to be evicted";
const MOST_KILLS = 3;
const KILL_WITHIN_MS = 1500;
/** Longer than controllers take to start and to look at all there is. */
const CALM_MS = 4000;
const CALM_WITHIN_MS = 150_000;
/** Histories of each family side by side. */
const AT_ONCE = 3;

interface Result {
  /** Changes of pods. */
  readonly checked: number;
  readonly kills: number;
  readonly faults: readonly string[];
}

/** One history in one namespace. */
interface Story {
  readonly name: string;
  readonly family: Family;
  readonly namespace: string;
  readonly random: Random;
  readonly taken: string[];
}

/** Plays histories with our controllers, which are killed (SIGKILL) at random moments, and checks every change of a pod. */
export async function playKills(options: {
  readonly rounds: number;
  readonly seed: number;
  /** Of one history; default: 8. */
  readonly steps?: number;
}): Promise<Result> {
  const { steps: length = 8 } = options;
  await using arena = await startArena({ apiServer: "ours", controllers: "process" }, NODES);
  await using camera = await openCamera(arena.admin, []);
  const random = createSeededRandom(options.seed);
  const changes = new Map<string, PodChange[]>();
  const stop = new AbortController();
  const following = follow(arena.admin, changes, stop.signal);
  const faults: string[] = [];
  let checked = 0;
  let kills = 0;

  const kill = async (): Promise<void> => {
    await arena.killControllers();
    kills++;
  };
  const phase = async (stories: readonly Story[], isFirst: boolean): Promise<void> => {
    const steps = stories.map((story) => new PlayedStep(story, camera, changes));
    const killing = (async () => {
      for (let left = Math.floor(random.next() * (MOST_KILLS + 1)); left > 0; left--) {
        await sleep(systemClock, random.next() * KILL_WITHIN_MS);
        await kill();
      }
    })();
    await Promise.all([...steps.map(async (step) => step.take(arena, isFirst)), killing]);
    await calm(camera, stories);
    for (const step of steps) {
      const { count, violations } = step.judge();
      checked += count;
      faults.push(...violations);
    }
  };
  const versions = (stories: readonly Story[]): string =>
    stories
      .flatMap(({ namespace }) => [...camera.look(namespace).ordered.values()].flat())
      .map(({ metadata: { name, resourceVersion } }) => `${name} ${resourceVersion}`)
      .toSorted()
      .join();

  for (let round = 0; round < options.rounds; round++) {
    const stories = Object.keys(STEPS)
      .flatMap((name) => Array.from({ length: AT_ONCE }, (_, i) => [name, i] as const))
      .map(([name, i]): Story => {
        const seed = (options.seed * 1000 + round) * AT_ONCE + i;
        const namespace = `${name}-${seed}`;
        return { name, family: FAMILIES[name] as Family, namespace, random: createSeededRandom(seed), taken: [] };
      });
    for (const { namespace } of stories) {
      await arena.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
      await arena.until("pods can be made", async () =>
        arena.admin.get(ServiceAccount, { namespace, name: "default" }),
      );
    }
    for (let i = 0; i <= length; i++) await phase(stories, i === 0);
    const before = versions(stories);
    await kill();
    await sleep(systemClock, CALM_MS);
    if (versions(stories) !== before)
      faults.push(`round ${round}: controllers that begin anew changed what was at rest`);
    for (const { namespace } of stories) await arena.admin.delete(Namespace, { name: namespace });
  }
  stop.abort(new DOMException("the histories are over", "AbortError"));
  await following;
  if (kills === 0) faults.push("nothing was killed");
  return { checked, kills, faults };
}

/** Keeps what happens to pods, by their namespaces. */
async function follow(admin: ApiClient, changes: Map<string, PodChange[]>, signal: AbortSignal): Promise<void> {
  let { resourceVersion } = (await admin.list(Pod, {})).metadata;
  try {
    while (!signal.aborted)
      for await (const event of admin.watch(Pod, { resourceVersion, signal })) {
        if (event.type !== "ADDED" && event.type !== "MODIFIED" && event.type !== "DELETED") continue;
        const { namespace = "", resourceVersion: version } = event.object.metadata;
        resourceVersion = version;
        const known = changes.get(namespace);
        if (known === undefined) changes.set(namespace, [{ type: event.type, pod: event.object }]);
        else known.push({ type: event.type, pod: event.object });
      }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Waits until nothing changes any more anywhere. */
async function calm(camera: Camera, stories: readonly Story[]): Promise<void> {
  const from = systemClock.monotonicMs();
  const isCalm = (): boolean => stories.every(({ namespace }) => camera.quietMs(namespace) > CALM_MS);
  do await sleep(systemClock, 100);
  while (
    systemClock.monotonicMs() < from + CALM_MS ||
    (!isCalm() && systemClock.monotonicMs() < from + CALM_WITHIN_MS)
  );
}

const JUDGED = [Deployment, StatefulSet, DaemonSet, Job, PodDisruptionBudget].map(({ kind }) => kind);

/** A step, and what there was before it. */
class PlayedStep {
  readonly #story: Story;
  readonly #camera: Camera;
  readonly #changes: Map<string, PodChange[]>;
  readonly #before: ReadonlyMap<string, readonly KubeObject[]>;
  readonly #harmed = new Set<string>();
  #name = "";

  constructor(story: Story, camera: Camera, changes: Map<string, PodChange[]>) {
    this.#story = story;
    this.#camera = camera;
    this.#changes = changes;
    this.#before = camera.look(story.namespace).ordered;
    changes.set(story.namespace, []);
  }

  async take(place: Actor["place"], isFirst: boolean): Promise<void> {
    const { name, family, namespace, random, taken } = this.#story;
    const names = STEPS[name] ?? [];
    this.#name = isFirst ? "begin" : (names[Math.floor(random.next() * names.length)] ?? "");
    const step: Step = isFirst ? family.begin : this.#name === EVICTION ? evictAll : (family.steps[this.#name] as Step);
    const seeded = createSeededRandom(Math.floor(random.next() * 2 ** 31));
    const admin = noting(place.admin, (key) => this.#harm(key));
    // What is to be evicted is not harmed: that is for the budget to decide.
    const own = this.#name === EVICTION ? place : { ...place, admin };
    const outcome = await take(step, new Actor(own, namespace, seeded, this.#before));
    taken.push(`${this.#name}${outcome === "" ? "" : `: ${outcome}`}`);
  }

  #harm(key: ObjectKey): void {
    const pod = (this.#before.get("Pod") ?? []).find(({ metadata }) => metadata.name === key.name);
    if (pod !== undefined) this.#harmed.add(pod.metadata.uid ?? "");
  }

  judge(): { readonly count: number; readonly violations: readonly string[] } {
    const { namespace, taken } = this.#story;
    const changes = this.#changes.get(namespace) ?? [];
    const isEviction = this.#name === EVICTION;
    const violations = violationsOf({
      pods: (this.#before.get("Pod") ?? []) as readonly Pod[],
      changes,
      before: judged(isEviction ? budgetsOf(this.#before) : this.#before),
      after: judged(this.#camera.look(namespace).ordered),
      harmed: this.#harmed,
      isEviction,
    });
    return {
      count: changes.length,
      violations: violations.map((each) => `${namespace}: ${each}, after ${taken.join(" | ")}`),
    };
  }
}

const budgetsOf = (objects: ReadonlyMap<string, readonly KubeObject[]>): ReadonlyMap<string, readonly KubeObject[]> =>
  new Map([...objects].filter(([kind]) => kind === "PodDisruptionBudget"));

/** Objects of lists do not say of what kind they are. */
const judged = (objects: ReadonlyMap<string, readonly KubeObject[]>): readonly KubeObject[] =>
  JUDGED.flatMap((kind) => (objects.get(kind) ?? []).map((object) => ({ ...object, kind })));

/** As `admin`; told which pods it changes. */
function noting(admin: ApiClient, note: (key: ObjectKey) => void): ApiClient {
  const noted = Object.create(admin) as ApiClient;
  const isPod = (type: unknown): boolean => type === Pod;
  noted.patch = async (type, key, ...rest) => {
    if (isPod(type)) note(key);
    return await admin.patch(type, key, ...rest);
  };
  noted.delete = async (type, key, ...rest) => {
    if (isPod(type)) note(key);
    await admin.delete(type, key, ...rest);
  };
  return noted;
}

/** Again and again somebody asks for all of them. */
async function evictAll(actor: Actor): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const { items } = await actor.admin.list(Pod, { namespace: actor.namespace });
    await Promise.allSettled(
      items.map(async ({ metadata: { namespace, name = "" } }) => {
        const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { namespace, name } };
        await actor.admin.post(Pod, { namespace, name }, "eviction", eviction);
      }),
    );
    await sleep(systemClock, 400);
  }
}
