import type { Pod } from "@coracle/api/core/v1";

export const COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index";

/** The index a pod of an Indexed Job works on. */
export function indexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[COMPLETION_INDEX];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** `1,3-5` as numbers below `limit`. */
export function parseIndexes(text: string | undefined, limit = Infinity): Set<number> {
  const indexes = new Set<number>();
  for (const part of (text ?? "").split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) continue;
    const last = Math.min(Number(match[2] ?? match[1]), limit - 1);
    for (let index = Number(match[1]); index <= last; index++) indexes.add(index);
  }
  return indexes;
}

/** Numbers as `1,3-5`: sorted, runs of three or more shortened, of two too. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].toSorted((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length;) {
    let end = i;
    while (end + 1 < sorted.length && sorted[end + 1] === (sorted[end] ?? 0) + 1) end++;
    const [from, to] = [sorted[i], sorted[end]];
    parts.push(end === i ? `${from}` : end === i + 1 ? `${from},${to}` : `${from}-${to}`);
    i = end + 1;
  }
  return parts.join(",");
}
