import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { sleep, systemClock } from "@coracle/base";
import { ApiConnection, type Target } from "../api/connection.ts";
import { followWatch } from "./api-watch.ts";
import { paths, podName } from "./bench-objects.ts";
import { conditionsOf } from "./pod-statuses.ts";
import type { SimulatedNodes } from "./simulated-nodes.ts";

const SEEN_WITHIN_MS = 60_000;
/** Neighbours in time are not neighbours in a slice. */
const STEP = 7;

/** How pods become ready and not ready in turn. */
export interface Changes {
  readonly pods: number;
  readonly perSecond: number;
  readonly seconds: number;
}

/** Makes the changes; how many milliseconds each took to be seen in an EndpointSlice. */
export async function changeReadiness(nodes: SimulatedNodes, target: Target, changes: Changes): Promise<number[]> {
  const { pods, perSecond, seconds } = changes;
  const asked = new Map<string, { readonly at: number; readonly isReady: boolean }>();
  const lagsMs: number[] = [];
  const watching = await ApiConnection.open(target);
  followWatch(watching, paths.endpointSlices, (_, read) => {
    for (const { targetRef, conditions } of (read() as EndpointSlice).endpoints ?? []) {
      const change = asked.get(targetRef?.name ?? "");
      if (change?.isReady !== conditions?.ready || change === undefined) continue;
      lagsMs.push(systemClock.monotonicMs() - change.at);
      asked.delete(targetRef?.name ?? "");
    }
  });
  try {
    const begun = systemClock.monotonicMs();
    for (let i = 0; i < perSecond * seconds; i++) {
      const waitMs = begun + (i * 1000) / perSecond - systemClock.monotonicMs();
      if (waitMs > 0) await sleep(systemClock, waitMs);
      const index = (i * STEP) % pods;
      const isReady = Math.floor(i / pods) % 2 === 1;
      asked.set(podName(index), { at: systemClock.monotonicMs(), isReady });
      nodes.do(() => nodes.setStatus(`${paths.pods}/${podName(index)}`, { conditions: conditionsOf(i, isReady) }));
    }
    const end = systemClock.monotonicMs() + SEEN_WITHIN_MS;
    while (asked.size > 0 && systemClock.monotonicMs() < end) await sleep(systemClock, 20);
  } finally {
    watching.close();
  }
  if (asked.size > 0) throw new Error(`${asked.size} changes were never seen in EndpointSlices`);
  return lagsMs;
}
