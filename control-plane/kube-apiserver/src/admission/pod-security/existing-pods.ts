import type { Pod } from "@coracle/api/core/v1";
import { evaluatePod, printReasons } from "./evaluate.ts";
import { podView } from "./pod-view.ts";
import { printLevel, type LevelVersion } from "./policy.ts";

/** Pods looked at when a namespace's labels change. */
const MAX_PODS = 3000;

/** One pod of each owner first: its copies look the same. */
function prioritized(pods: readonly Pod[], exemptRuntimeClasses: readonly string[]): readonly Pod[] {
  const first: Pod[] = [];
  const copies: Pod[] = [];
  const owners = new Set<string>();
  for (const pod of pods) {
    const { runtimeClassName } = pod.spec ?? {};
    if (runtimeClassName !== undefined && exemptRuntimeClasses.includes(runtimeClassName)) continue;
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;
    if (owner !== undefined && owners.has(owner)) copies.push(pod);
    else {
      first.push(pod);
      if (owner !== undefined) owners.add(owner);
    }
  }
  return [...first, ...copies];
}

const others = (count: number): string =>
  count < 2 ? "" : count === 2 ? " (and 1 other pod)" : ` (and ${count - 1} other pods)`;

/** Tells which pods that are there would not be let in any more. */
export function warnOfExistingPods(
  namespace: string,
  pods: readonly Pod[],
  enforce: LevelVersion,
  exemptRuntimeClasses: readonly string[],
  isLate: () => boolean,
): readonly string[] {
  const all = prioritized(pods, exemptRuntimeClasses);
  const found = new Map<string, { name: string; count: number }>();
  let checked = 0;
  for (const pod of all.slice(0, MAX_PODS)) {
    checked += 1;
    const violations = pod.spec === undefined ? [] : evaluatePod(podView(pod.metadata, pod.spec), enforce);
    if (violations.length > 0) {
      const reasons = printReasons(violations);
      const { name = "" } = pod.metadata;
      const seen = found.get(reasons);
      if (seen === undefined) found.set(reasons, { name, count: 1 });
      else {
        if (name < seen.name) seen.name = name;
        seen.count += 1;
      }
    }
    if (isLate()) break;
  }
  const out: string[] = [];
  if (checked < all.length) {
    out.push(`new PodSecurity enforce level only checked against the first ${checked} of ${all.length} existing pods`);
  }
  if (found.size === 0) return out;
  out.push(
    `existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${printLevel(enforce)}"`,
  );
  const lines = [...found].map(([reasons, { name, count }]) => `${name}${others(count)}: ${reasons}`);
  return [...out, ...lines.toSorted()];
}
