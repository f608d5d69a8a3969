import type { Pod } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import type { SchedulerDebug } from "@coracle/kube-scheduler";
import type { Draw } from "./draw.ts";
import { fixedSeeds, type Moments, randomBudgets, randomNodes, randomResidents } from "./random-cluster.ts";
import { randomDevices, randomResourceClaims } from "./random-devices.ts";
import { randomPod } from "./random-pod.ts";
import { randomStorage, randomVolumes } from "./random-storage.ts";
import { keyOf, NOTHING, type Outcome, type Side } from "./side.ts";
import type { Tally } from "./tally.ts";
import type { ScoreLog, UpstreamScores } from "./upstream-scores.ts";

type Explanation = NonNullable<ReturnType<SchedulerDebug["explain"]>>;

/** Two schedulers before the same cluster. */
export interface Arena {
  readonly upstream: Side;
  readonly ours: Side;
  /** What ours thinks of a pod that is yet to come. */
  readonly explain: (pod: Pod) => Explanation | undefined;
  readonly scores: ScoreLog;
  readonly schedulerNames: readonly [string, ...string[]];
}

const VICTIMS_WITHIN_MS = 5_000;
/** Schedulers have seen by then what was changed, also on a machine with much else to do. */
const SETTLE_MS = 1_000;
const QUICK_SETTLE_MS = 100;
const EVENTS_WITHIN_MS = 20_000;

/** Fills both with the same random cluster. Call it before the schedulers start. */
export async function fill(draw: Draw, moments: Moments, sides: readonly Side[]): Promise<void> {
  const nodes = randomNodes(draw);
  const seeds = [...fixedSeeds(), ...randomBudgets(draw), ...randomStorage(draw, nodes), ...randomDevices(draw, nodes)];
  const residents = randomResidents(draw, nodes, moments);
  await Promise.all(
    sides.map(async (side) => {
      for (const each of seeds) await side.create(each);
      for (const node of nodes) await side.createNode(node);
      for (const each of residents) await side.create(each);
    }),
  );
}

/** Has both place pod after pod and tells the tally of what each did. What one did otherwise is undone in both. */
export async function playRound(
  draw: Draw,
  moments: Moments,
  arena: Arena,
  count: number,
  tally: Tally,
): Promise<void> {
  const { upstream, ours, schedulerNames } = arena;
  const both = [upstream, ours];
  const surroundings = { volumes: randomVolumes, devices: randomResourceClaims, schedulerNames };
  const refused = new Map<string, string>();
  const present = new Set((await ours.pods()).keys());
  for (let number = 0; number < count; number++) {
    const pod = randomPod(draw, number, surroundings);
    const imagined = await ours.imagine(pod);
    if (imagined === undefined) {
      tally.skip();
      continue;
    }
    await evenOutClaims(pod);
    const explanation = arena.explain(imagined);
    const [theirs, own] = await Promise.all([upstream.place(pod), ours.place(pod)]);
    const scores = arena.scores.read(keyOf(pod));
    const wrong = [...differences(theirs, own), ...(explanation ? unlike(theirs, own, explanation, scores) : [])];
    if (theirs.nominated !== "" || own.nominated !== "") {
      const sameNode = theirs.nominated === own.nominated;
      wrong.push(...(await settleVictims(arena, sameNode, present)));
      // Room was made: it is theirs, as soon as they see it.
      if (sameNode && wrong.length === 0 && draw.chance(30)) {
        const nodes = await Promise.all(both.map(async (side) => side.nodeOf(pod)));
        if (nodes.some((node) => node !== theirs.nominated))
          wrong.push(`room was made on ${theirs.nominated}, and it went to ${nodes.join(" and ")}`);
      }
    }
    if (wrong.length > 0) wrong.push(...(await statesApart(both)));
    tally.add(imagined, explanation, theirs, wrong);
    if (own.node === "" && own.why.startsWith("Unschedulable")) refused.set(keyOf(pod), own.why);
    if (await evenOut(pod, theirs, own, draw.chance(15))) {
      present.add(keyOf(pod));
      const startTime = moments.next();
      await Promise.all(both.map(async (side) => side.started(pod, startTime)));
    }
    await sleep(systemClock, Object.keys(theirs.selected).length > 0 ? QUICK_SETTLE_MS : 0);
  }
  tally.addEvents(await eventsMissing(both, refused));

  /** Who was removed while it waited for its claims may have got them after all, here or there. */
  async function evenOutClaims(pod: Pod): Promise<void> {
    if (!hasClaims(pod)) return;
    const [theirs, own] = await Promise.all(both.map(async (side) => side.claimsOf(pod)));
    if (theirs === own) return;
    await Promise.all(both.map(async (side) => side.release(pod)));
    await sleep(systemClock, SETTLE_MS);
  }

  /** Whether the pod is there afterwards, on the same node in both. */
  async function evenOut(pod: Pod, theirs: Outcome, own: Outcome, isToGo: boolean): Promise<boolean> {
    const isSame = theirs.node === own.node && sortedJson(theirs.allocated) === sortedJson(own.allocated);
    if (theirs.node !== "" && own.node !== "" && !isSame && !hasClaims(pod) && !isToGo) {
      await ours.putOn(pod, theirs.node);
      return true;
    }
    if (theirs.node !== "" && isSame && !isToGo) return true;
    await Promise.all(both.map(async (side) => side.remove(pod)));
    if (hasClaims(pod) && (!isSame || `${theirs.nominated}${own.nominated}` !== "")) {
      await sleep(systemClock, QUICK_SETTLE_MS);
      await Promise.all(both.map(async (side) => side.release(pod)));
      await sleep(systemClock, SETTLE_MS);
    }
    return false;
  }
}

const hasClaims = ({ spec }: Pod): boolean => (spec.volumes ?? []).length + (spec.resourceClaims ?? []).length > 0;

/** What differs between two outcomes, where chance has no say. */
function differences(theirs: Outcome, own: Outcome): string[] {
  const wrong: string[] = [];
  if ([theirs.why, own.why].includes(NOTHING) || withoutPlace(theirs.why) !== withoutPlace(own.why))
    wrong.push(`why:\n    upstream ${theirs.why}\n    ours     ${own.why}`);
  if (theirs.nominated !== own.nominated) wrong.push(`nominated: upstream ${theirs.nominated}, ours ${own.nominated}`);
  if (theirs.node === "" || theirs.node !== own.node) return wrong;
  for (const what of ["selected", "allocated"] as const) {
    const [a, b] = [sortedJson(theirs[what]), sortedJson(own[what])];
    if (a !== b) wrong.push(`${what}:\n    upstream ${a}\n    ours     ${b}`);
  }
  return wrong;
}

/** Of several nodes on which a claim fails upstream names any. */
const withoutPlace = (why: string): string =>
  why.startsWith("SchedulerError: ") ? why.replaceAll(/\/n\d+(\/device-\d+)?/g, "") : why;

const sortedJson = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );

/** What our plugins say otherwise than upstream's did, and choices that are not among the best. */
function unlike(theirs: Outcome, own: Outcome, { nodes, gate }: Explanation, scores: UpstreamScores): string[] {
  // What fails on one node fails on all: the others were not compared.
  if (gate !== undefined || nodes.some(({ refusedBy }) => refusedBy === "")) return [];
  const wrong: string[] = [];
  const fitting = nodes.filter(({ refusedBy }) => refusedBy === undefined);
  const fits = fitting.map(({ node }) => node);
  const expected = scores.totals.size > 0 ? [...scores.totals.keys()] : theirs.node === "" ? [] : [theirs.node];
  for (const node of expected) {
    const refusal = nodes.find((each) => each.node === node && each.refusedBy !== undefined);
    if (refusal !== undefined)
      wrong.push(`${node} fits upstream's, ours says ${refusal.refusedBy}: ${refusal.reasons?.join(", ")}`);
  }
  for (const node of fits) if (!expected.includes(node)) wrong.push(`${node} fits ours, not upstream's`);
  if (wrong.length > 0 || scores.totals.size === 0) return wrong;
  for (const { node, scores: ofNode = {}, total } of fitting) {
    const theirsOfNode = scores.byPlugin.get(node) ?? new Map<string, number>();
    for (const plugin of new Set([...theirsOfNode.keys(), ...Object.keys(ofNode)])) {
      const { score = 0, weight = 1 } = ofNode[plugin] ?? {};
      const their = theirsOfNode.get(plugin) ?? 0;
      if (their !== score * weight) wrong.push(`${plugin} scores ${node} ${their} upstream, ${score * weight} ours`);
    }
    if (wrong.length === 0 && scores.totals.get(node) !== total) wrong.push(`total of ${node}`);
  }
  const best = Math.max(...scores.totals.values());
  if (scores.totals.get(own.node) !== best) wrong.push(`ours chose ${own.node}, which is not among the best`);
  return wrong;
}

/** Waits until both drove out the same pods, or too long. Those that one drove out are gone from both afterwards. */
async function settleVictims({ upstream, ours }: Arena, isCompared: boolean, present: Set<string>): Promise<string[]> {
  const until = systemClock.monotonicMs() + VICTIMS_WITHIN_MS;
  for (;;) {
    const [theirs, own] = await Promise.all([upstream.pods(), ours.pods()]);
    const [gone, goneHere] = [theirs, own].map((there) => [...present].filter((key) => !there.has(key)));
    const isSame = gone?.join() === goneHere?.join();
    const isOver = systemClock.monotonicMs() > until;
    if ((isSame && gone?.length !== 0) || isOver || !isCompared) {
      for (const [key, pod] of theirs) if (!own.has(key)) await upstream.remove(pod);
      for (const [key, pod] of own) if (!theirs.has(key)) await ours.remove(pod);
      for (const key of [...(gone ?? []), ...(goneHere ?? [])]) present.delete(key);
      return isSame || !isCompared ? [] : [`victims: upstream ${gone?.join(" ")}, ours ${goneHere?.join(" ")}`];
    }
    await sleep(systemClock, 20);
  }
}

async function eventsMissing(sides: readonly Side[], refused: ReadonlyMap<string, string>): Promise<string[]> {
  const until = systemClock.monotonicMs() + EVENTS_WITHIN_MS;
  for (;;) {
    const missing: string[] = [];
    for (const [i, side] of sides.entries()) {
      const events = await side.events();
      for (const [key, why] of refused) {
        const expected = why.replace("Unschedulable: ", "FailedScheduling: ");
        if (events.get(key)?.includes(expected) !== true)
          missing.push(
            `${key}, ${i === 0 ? "upstream" : "ours"}: no event ${expected}, but ${events.get(key)?.join(" | ")}`,
          );
      }
    }
    if (missing.length === 0 || systemClock.monotonicMs() > until) return missing;
    await sleep(systemClock, 200);
  }
}

/** Pods that are not the same in both. */
async function statesApart(sides: readonly Side[]): Promise<string[]> {
  const [a, b] = await Promise.all(
    sides.map(async (side) =>
      [...(await side.pods())].map(
        ([key, { metadata, spec, status }]) =>
          `${key} ${spec.nodeName} ${status?.phase} ${spec.priority} ${sortedJson(metadata.labels)} ${status?.startTime}`,
      ),
    ),
  );
  return [
    ...(a ?? []).filter((one) => b?.includes(one) !== true).map((one) => `only upstream: ${one}`),
    ...(b ?? []).filter((one) => a?.includes(one) !== true).map((one) => `only ours: ${one}`),
  ];
}
