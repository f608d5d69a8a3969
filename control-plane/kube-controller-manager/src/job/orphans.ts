import { Job } from "@coracle/api/batch/v1";
import { Pod } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, type ApiClient } from "@coracle/client";
import {
  byController,
  controllerOf,
  defineController,
  done,
  labelMatcher,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { TRACKING } from "./plan.ts";

const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(TRACKING) === true;

/** Takes a Job's finalizer off a pod, so that it can go. */
export async function releasePod(client: ApiClient, pod: Pod, signal: AbortSignal): Promise<void> {
  if (!isTracked(pod)) return;
  const { namespace, name = "", uid } = pod.metadata;
  const metadata = { uid, "$deleteFromPrimitiveList/finalizers": [TRACKING] };
  try {
    await client.patch(Pod, { namespace, name }, "strategic", { metadata }, { metadataOnly: true, signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Lets pods go that still carry a Job's finalizer while no Job counts them any more. */
export function createJobOrphanController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const jobs = informers.informer(Job).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;

  /** Whether a Job has the pod, or is about to adopt it. */
  function isCounted(pod: Pod): boolean {
    const { namespace, labels, deletionTimestamp } = pod.metadata;
    const owner = controllerOf(pod);
    if (owner !== undefined)
      return owner.kind !== Job.kind || jobs.get(namespace, owner.name)?.metadata.uid === owner.uid;
    if (deletionTimestamp !== undefined) return false;
    return jobs
      .list(namespace)
      .some((job) => job.metadata.deletionTimestamp === undefined && labelMatcher(job.spec.selector)(labels));
  }

  return defineController<Pod>(deps, {
    name: "job-orphans",
    for: Pod,
    changed: (pod) => isTracked(pod) && !isCounted(pod),
    watches: [
      mapped(Job, (job) => {
        const { namespace = "", uid = "" } = job.metadata;
        if (jobs.get(namespace, job.metadata.name ?? "")?.metadata.uid === uid) return [];
        return [...pods.byIndex("controller", uid), ...pods.byIndex("controller", `${namespace}/`)]
          .filter(isTracked)
          .map(cacheKeyOf);
      }),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined || !isTracked(pod) || isCounted(pod)) return done;
      await releasePod(client, pod, signal);
      return done;
    },
  });
}
