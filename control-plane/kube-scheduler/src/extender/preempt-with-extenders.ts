import type { Pod } from "@coracle/api/core/v1";
import type { PostFilterResult, Snapshot } from "../framework/plugin.ts";
import { byImportance, candidateOf, isBetter, type Candidate } from "../preemption/candidate.ts";
import { uidOf } from "../state/node-state.ts";
import type { HttpExtender, Victims } from "./http-extender.ts";

/**
 * Which candidate is left once extenders had their say: each may leave out nodes and name other victims there. One that
 * fails leaves none, unless it may be ignored.
 */
export async function preemptWithExtenders(
  extenders: readonly HttpExtender[],
  pod: Pod,
  candidates: readonly Candidate[],
  snapshot: Snapshot,
): Promise<PostFilterResult> {
  let left = candidates;
  for (const extender of extenders) {
    if (left.length === 0) break;
    if (!extender.preempts || !extender.isInterestedIn(pod)) continue;
    try {
      const answer = await extender.preempt(pod, left);
      left = [...answer].flatMap(([name, victims]) => chosenBy(extender, name, victims, snapshot) ?? []);
    } catch (error) {
      if (!extender.isIgnorable) return none((error as Error).message);
    }
  }
  const best = left.reduce<Candidate | undefined>(
    (one, other) => (one === undefined || isBetter(other, one) ? other : one),
    undefined,
  );
  if (best === undefined) return none("no candidate node for preemption");
  return { type: "nominated", nodeName: best.nodeName, victims: best.victims };
}

const none = (message: string): PostFilterResult => ({
  type: "none",
  message: `preemption: ${message}`,
  isUnderWay: false,
});

/** The candidate that the extender names; undefined: it names no victims and need not be heard. Throws when it lies. */
function chosenBy(
  extender: HttpExtender,
  nodeName: string,
  { uids, violations }: Victims,
  snapshot: Snapshot,
): Candidate | undefined {
  const node = snapshot.node(nodeName);
  if (node === undefined) throw new Error(`nodeinfo not found for node name "${nodeName}"`);
  const there = new Map([...node.pods].map((each) => [uidOf(each), each]));
  const victims = uids.map((uid) => {
    const victim = there.get(uid);
    if (victim === undefined)
      throw new Error(
        `extender: ${extender.name} claims to preempt pod (UID: ${uid}) on node: ${nodeName}, but the pod is not found on that node`,
      );
    return victim;
  });
  if (victims.length > 0) return candidateOf(nodeName, victims.toSorted(byImportance), violations);
  if (extender.isIgnorable) return undefined;
  throw new Error(`expected at least one victim pod on node "${nodeName}"`);
}
