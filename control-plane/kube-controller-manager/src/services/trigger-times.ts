import type { Pod, Service } from "@coracle/api/core/v1";
import type { CacheKey } from "@coracle/client";
import { podCondition } from "../pods/pod-state.ts";

interface Seen {
  readonly createdAt: string | undefined;
  /** By name. */
  readonly pods: Map<string, SeenPod>;
}

interface SeenPod {
  /** As it was seen last. */
  pod: Pod;
  /** When it became ready or unready. */
  at: string;
}

/** Since when the endpoints of services are other than they were in the pass before. */
export class TriggerTimes {
  readonly #seen = new Map<CacheKey, Seen>();

  /** The earliest change since the last call; of a service not seen before when it was made; undefined: none. */
  changedAt(key: CacheKey, service: Service, pods: readonly Pod[]): string | undefined {
    const createdAt = service.metadata.creationTimestamp;
    const known = this.#seen.get(key);
    const times = known?.pods ?? new Map<string, SeenPod>();
    let earliest: string | undefined;
    const note = (at: string): void => void (earliest = earliest === undefined || at < earliest ? at : earliest);
    for (const pod of pods) {
      const { name = "" } = pod.metadata;
      const before = times.get(name);
      if (before?.pod === pod) continue;
      const at = podCondition(pod, "Ready")?.lastTransitionTime ?? "";
      const isNewer = at > (before?.at ?? "");
      if (before === undefined) times.set(name, { pod, at });
      else {
        before.pod = pod;
        if (isNewer) before.at = at;
      }
      if (isNewer) note(at);
    }
    if (createdAt !== undefined && createdAt > (known?.createdAt ?? "")) note(createdAt);
    if (times.size > 2 * pods.length) {
      const present = new Set(pods.map(({ metadata }) => metadata.name ?? ""));
      for (const name of times.keys()) if (!present.has(name)) times.delete(name);
    }
    this.#seen.set(key, { createdAt, pods: times });
    return known === undefined ? createdAt : earliest;
  }

  forget(key: CacheKey): void {
    this.#seen.delete(key);
  }
}
