import { Pod } from "@coracle/api/core/v1";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { timestamp } from "../time/timestamp.ts";
import { msUntilStale } from "./plan.ts";

/** Takes back what was said of pods that were to be disrupted and, minutes later, still have not been. */
export function createStaleDisruptionController({ client, informers, clock, logger }: ControllerDeps): Controller {
  const pods = informers.informer(Pod).lister;
  return defineController<Pod>(
    { informers, clock, logger },
    {
      name: "stale-disruption",
      for: Pod,
      changed: (pod) => msUntilStale(pod, clock.now()) !== undefined,
      workers: 1,
      async reconcile(key, { signal }) {
        const pod = pods.byKey(key);
        const leftMs = pod === undefined ? undefined : msUntilStale(pod, clock.now());
        if (pod === undefined || leftMs === undefined) return done;
        if (leftMs > 0) return requeueAfter(leftMs);
        const { metadata } = pod;
        const lastTransitionTime = timestamp(clock.now());
        const conditions = (pod.status?.conditions ?? []).map((condition) =>
          condition.type === "DisruptionTarget"
            ? { type: condition.type, status: "False", observedGeneration: metadata.generation, lastTransitionTime }
            : condition,
        );
        await client.update(Pod, { ...pod, status: { ...pod.status, conditions } }, { subresource: "status", signal });
        return done;
      },
    },
  );
}
