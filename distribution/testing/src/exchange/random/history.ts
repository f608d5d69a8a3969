import type { KubeObject } from "@coracle/api";
import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { StatusError } from "@coracle/apimachinery";
import { createSeededRandom, sleep, systemClock } from "@coracle/base";
import type { Picture } from "../picture.ts";
import { Actor, NothingToDo, type Family, type Place, type Step } from "./actor.ts";
import type { Camera } from "./camera.ts";

/** One of the clusters in which the same histories are played. */
export interface Side {
  readonly name: string;
  readonly place: Place;
  readonly camera: Camera;
}

/** Where the sides are not the same after a step. */
export interface Difference {
  readonly family: string;
  readonly seed: number;
  /** The steps so far, each with its outcome. */
  readonly steps: readonly string[];
  readonly what: "outcome" | "objects" | "events";
  readonly details: readonly string[];
  /** All that was there, on each side. */
  readonly pictures: readonly Picture[];
}

/** What came of a history. */
export interface Played {
  /** How often each step was taken; refused and idle ones by themselves. */
  readonly counts: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
}

const PATIENCE_MS = 25_000;
const EVENTS_PATIENCE_MS = 6_000;
/** By then all must have come to rest. */
const RESTLESS_MS = 150_000;
const POLL_MS = 60;
/** Steps that are thrown for each that is taken, at most: many do not apply. */
const TRIES = 4;

/** Plays one history on all sides, step by step, and compares after each. Ends at the first difference of objects. */
export async function playHistory(
  sides: readonly [Side, Side],
  {
    name,
    family,
    seed,
    length,
    namespace,
  }: {
    readonly name: string;
    readonly family: Family;
    readonly seed: number;
    readonly length: number;
    readonly namespace: string;
  },
): Promise<Played> {
  const random = createSeededRandom(seed);
  const counts = new Map<string, number>();
  const differences: Difference[] = [];
  const taken: string[] = [];
  const known = new Set<string>();
  for (const { place } of sides) {
    await place.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
    await eventually(async () => place.admin.get(ServiceAccount, { namespace, name: "default" }));
  }
  const names = Object.keys(family.steps);
  let isSame = true;
  const tries = length * TRIES;
  for (let i = 0, done = 0; done <= length && i <= tries && isSame; i++) {
    const stepName = i === 0 ? "begin" : (names[Math.floor(random.next() * names.length)] ?? "");
    const step = (i === 0 ? family.begin : family.steps[stepName]) as Step;
    const stepSeed = Math.floor(random.next() * 2 ** 31);
    const outcomes = await Promise.all(
      sides.map(async ({ place, camera }) =>
        take(step, new Actor(place, namespace, createSeededRandom(stepSeed), camera.look(namespace).ordered)),
      ),
    );
    const [outcome = "", other = ""] = outcomes;
    const label = `${stepName}${outcome === "" ? "" : `: ${outcome}`}`;
    if (outcome !== "nothing to do") taken.push(label);
    const counted = outcome === "" ? stepName : `${stepName}: ${outcome.startsWith("refused") ? "refused" : outcome}`;
    counts.set(counted, (counts.get(counted) ?? 0) + 1);
    if (outcome === "nothing to do" && other === outcome) continue;
    done++;
    const found = await settle(sides, namespace, family, known);
    const pictures = (): readonly Picture[] => sides.map(({ camera }) => camera.look(namespace).picture);
    const report = (what: Difference["what"], details: readonly string[]): void =>
      void differences.push({ family: name, seed, steps: [...taken], what, details, pictures: pictures() });
    if (outcome !== other) report("outcome", [`- ${outcome}`, `+ ${other}`]);
    if (found.objects.length > 0) report("objects", found.objects);
    if (found.events.length > 0) report("events", found.events);
    isSame = outcome === other && found.objects.length === 0;
  }
  await Promise.all(sides.map(async ({ place }) => end(place, namespace)));
  return { counts, differences };
}

/** The namespace goes, and with it all that was there; what is held stays. */
async function end({ admin }: Place, name: string): Promise<void> {
  try {
    await admin.delete(Namespace, { name });
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
  }
}

/** Takes a step; answers what came of it, nothing if all is well. */
export async function take(step: Step, actor: Actor): Promise<string> {
  try {
    await step(actor);
    return "";
  } catch (error) {
    if (error instanceof NothingToDo) return "nothing to do";
    if (!(error instanceof StatusError)) throw error;
    return `refused: ${error.code} ${error.reason}`;
  }
}

interface Found {
  readonly objects: readonly string[];
  readonly events: readonly string[];
}

/** Waits until nothing changes and all is the same, or will not become so. `known`: differences of events that were told. */
async function settle(
  sides: readonly [Side, Side],
  namespace: string,
  { quietMs, patienceMs = PATIENCE_MS }: Family,
  known: Set<string>,
): Promise<Found> {
  const from = systemClock.monotonicMs();
  let compared = -1;
  let found: Found = { objects: [], events: [] };
  for (;;) {
    await sleep(systemClock, POLL_MS);
    const now = systemClock.monotonicMs();
    const quiet = Math.min(now - from, ...sides.map(({ camera }) => camera.quietMs(namespace)));
    const changes = sides.reduce((sum, { camera }) => sum + camera.changes(namespace), 0);
    const isRestless = now - from > RESTLESS_MS;
    if (quiet < quietMs && !isRestless) continue;
    if (changes !== compared) {
      compared = changes;
      const [ours, theirs] = sides.map(({ camera }) => camera.look(namespace).picture) as [Picture, Picture];
      found = {
        objects: inBrief(differencesOf(linesOf(ours), linesOf(theirs))),
        events: differencesOf(ours.events, theirs.events).filter((line) => !known.has(line)),
      };
    }
    const isEqual = found.objects.length === 0;
    if (isEqual && found.events.length === 0) return found;
    if (quiet < (isEqual ? EVENTS_PATIENCE_MS : patienceMs) && !isRestless) continue;
    for (const line of found.events) known.add(line);
    return isRestless && !isEqual ? { ...found, objects: ["(restless)", ...found.objects] } : found;
  }
}

const linesOf = ({ objects }: Picture): readonly string[] =>
  Object.entries(objects).flatMap(([kind, items]) => items.map((item) => `${kind} ${JSON.stringify(item)}`));

/** Lines that only one side has: `-` the first's, `+` the second's. */
function differencesOf(a: readonly string[], b: readonly string[]): readonly string[] {
  const left = new Map<string, number>();
  for (const line of a) left.set(line, (left.get(line) ?? 0) + 1);
  for (const line of b) left.set(line, (left.get(line) ?? 0) - 1);
  return [...left].flatMap(([line, count]) =>
    Array.from({ length: Math.abs(count) }, () => `${count > 0 ? "-" : "+"} ${line}`),
  );
}

/** Of objects that differ in a few members only those. */
function inBrief(lines: readonly string[]): readonly string[] {
  const nameOf = (line: string): string =>
    `${line.slice(2).split(" ")[0]} ${/"name":"([^"]*)","namespace"/.exec(line)?.[1]}`;
  const left = lines.filter((line) => line.startsWith("+"));
  const brief: string[] = [];
  for (const line of lines.filter((each) => each.startsWith("-"))) {
    const at = left.findIndex((each) => nameOf(each) === nameOf(line));
    const [other] = at < 0 ? [] : left.splice(at, 1);
    if (other === undefined) brief.push(line);
    else brief.push(nameOf(line), ...membersThatDiffer(bodyOf(line), bodyOf(other)));
  }
  return [...brief, ...left];
}

const bodyOf = (line: string): unknown => JSON.parse(line.slice(line.indexOf("{")));

function membersThatDiffer(a: unknown, b: unknown, path = ""): readonly string[] {
  if (JSON.stringify(a) === JSON.stringify(b)) return [];
  if (
    typeof a !== "object" ||
    typeof b !== "object" ||
    a === null ||
    b === null ||
    Array.isArray(a) !== Array.isArray(b)
  )
    return [`   - ${path} ${JSON.stringify(a)}`, `   + ${path} ${JSON.stringify(b)}`];
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((key) =>
    membersThatDiffer(left[key], right[key], `${path}.${key}`),
  );
}

async function eventually(attempt: () => Promise<KubeObject>): Promise<void> {
  for (;;) {
    try {
      return void (await attempt());
    } catch (error) {
      if (!(error instanceof StatusError) || error.code !== 404) throw error;
      await sleep(systemClock, POLL_MS);
    }
  }
}
