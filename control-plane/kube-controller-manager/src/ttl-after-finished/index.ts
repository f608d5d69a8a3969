import { Job } from "@coracle/api/batch/v1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { msUntilExpiry } from "./plan.ts";

/** Deletes Jobs, with their pods, some time after they ended, where their spec says so. */
export function createTtlAfterFinishedController(
  deps: ControllerDeps,
  workers?: number,
  metrics?: ControllerMetrics,
): Controller {
  const { client, informers, clock } = deps;
  const jobs = informers.informer(Job).lister;
  return defineController<Job>(deps, {
    name: "ttl-after-finished",
    for: Job,
    changed: (job) => job.spec.ttlSecondsAfterFinished !== undefined,
    workers,
    async reconcile(key, { signal }) {
      const job = jobs.byKey(key);
      const leftMs = job === undefined ? undefined : msUntilExpiry(job, clock.now());
      if (job === undefined || leftMs === undefined) return done;
      if (leftMs > 0) return requeueAfter(leftMs);
      const { namespace, name = "", uid, resourceVersion } = job.metadata;
      try {
        await client.delete(
          Job,
          { namespace, name },
          { propagationPolicy: "Foreground", preconditions: { uid, resourceVersion }, signal },
        );
        metrics?.jobExpired(-leftMs);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
