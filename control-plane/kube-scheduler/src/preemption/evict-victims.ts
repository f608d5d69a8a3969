import { Pod } from "@coracle/api/core/v1";
import { isNotFound, isConflict } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import { referenceTo, type ApiClient, type EventRecorder } from "@coracle/client";

export interface EvictionDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly schedulerName: string;
  readonly signal: AbortSignal;
}

/** Deletes the victims, each told why. Those that are gone or going need no telling. */
export async function evictVictims(
  { client, clock, recorder, schedulerName, signal }: EvictionDeps,
  pod: Pod,
  nodeName: string,
  victims: readonly Pod[],
): Promise<void> {
  await Promise.all(
    victims.map(async (victim) => {
      if (victim.metadata.deletionTimestamp !== undefined) return;
      const { namespace, name = "", uid } = victim.metadata;
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "PreemptionByScheduler",
        message: `${schedulerName}: preempting to accommodate a higher priority pod`,
        lastTransitionTime: `${new Date(clock.now()).toISOString().slice(0, 19)}Z`,
      };
      try {
        const body = { metadata: { uid }, status: { conditions: [condition] } };
        const options = { subresource: "status", metadataOnly: true, signal };
        await client.patch(Pod, { namespace, name }, "strategic", body, options);
        await client.delete(Pod, { namespace, name }, { preconditions: { uid }, signal });
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return; // gone, or another of its name
        throw error;
      }
      const message = `Preempted by pod ${pod.metadata.uid} on node ${nodeName}`;
      recorder.event(referenceTo(Pod, victim), "Normal", "Preempted", message);
    }),
  );
}
