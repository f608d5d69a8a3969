import { Pod } from "@coracle/api/core/v1";
import type { ApiClient } from "@coracle/client";

/** What is to hold of the pods of a namespace at every moment. */
export interface Moment {
  /** Neither ended nor on their way out. */
  readonly live: readonly Pod[];
  readonly ready: readonly Pod[];
}

/** Follows a namespace's pods by a watch, event after event. */
export interface PodHistory {
  /** Checks after each event from now on; what it answers is kept as a violation. */
  check(name: string, verdict: (moment: Moment) => string | undefined): void;
  readonly violations: readonly string[];
  /** Pods that were ever made. */
  readonly made: number;
  /** Events seen. */
  readonly length: number;
  /** Does something after every so many events, at once. */
  every(events: number, act: () => void): void;
}

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") ?? false;
const isLive = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed";

/** Begins to follow; ends with `signal`. */
export function followPods(
  admin: ApiClient,
  namespace: string,
  signal: AbortSignal,
): PodHistory & { readonly done: Promise<void> } {
  const pods = new Map<string, Pod>();
  const made = new Set<string>();
  const violations: string[] = [];
  const checks = new Map<string, (moment: Moment) => string | undefined>();
  const acts: [number, () => void][] = [];
  let length = 0;
  let resourceVersion: string | undefined;

  function see(type: string, pod: Pod): void {
    length++;
    const { uid = "" } = pod.metadata;
    resourceVersion = pod.metadata.resourceVersion;
    made.add(uid);
    if (type === "DELETED") pods.delete(uid);
    else pods.set(uid, pod);
    for (const [events, act] of acts) if (length % events === 0) act();
    const live = [...pods.values()].filter(isLive);
    const moment = { live, ready: live.filter(isReady) };
    for (const [name, verdict] of checks) {
      const violation = verdict(moment);
      if (violation !== undefined) violations.push(`${name}, event ${length}: ${violation}`);
    }
  }

  const follow = async (): Promise<void> => {
    // The server ends a watch after some time: the next one begins where it ended.
    while (!signal.aborted)
      for await (const event of admin.watch(Pod, { namespace, resourceVersion, signal }))
        if (event.type === "ADDED" || event.type === "MODIFIED" || event.type === "DELETED")
          see(event.type, event.object);
  };
  return {
    check: (name, verdict) => void checks.set(name, verdict),
    every: (events, act) => void acts.push([events, act]),
    violations,
    get made() {
      return made.size;
    },
    get length() {
      return length;
    },
    done: follow().catch((error: unknown) => {
      if (!signal.aborted) throw error;
    }),
  };
}
