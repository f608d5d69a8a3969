import { ResourceQuota } from "@coracle/api/core/v1";
import { countedKinds, equalJson, isNotFound, quotaEvaluatorOf } from "@coracle/apimachinery";
import { cacheKeyOf } from "@coracle/client";
import { defineController, done, requeueAfter, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { QuotaMonitors } from "./monitors.ts";
import { quotaStatus, type CountedKind, type CountedObjects } from "./plan.ts";

/** How long after a change of the definitions of kinds they are served. */
const SERVED_AFTER_MS = 1000;
/** Kinds that no definition announces (aggregated servers) are looked for anew. */
const UNKNOWN_KIND_MS = 30_000;

/**
 * Counts what the objects of a namespace use of its quotas: when a quota changes, when something was given back, and
 * every `resyncMs`. What is taken more is charged by the API server when it happens.
 */
export function createResourceQuotaController(deps: ControllerDeps, workers = 5, resyncMs = 300_000): Controller {
  return {
    name: "resourcequota",
    async run(signal) {
      let enqueue: (key: string) => void = () => {};
      let enqueueAfter: (key: string, delayMs: number) => void = () => {};
      const quotas = deps.informers.informer(ResourceQuota).lister;
      const replenished = ({ group, resource }: CountedKind, namespace: string): void => {
        const evaluator = quotaEvaluatorOf(group, resource);
        for (const quota of quotas.list(namespace)) {
          const names = Object.keys(quota.status?.hard ?? {});
          if (evaluator !== undefined && evaluator.matchingNames(names).length > 0) enqueue(cacheKeyOf(quota));
        }
      };
      const servedAnew = (): void => {
        for (const quota of quotas.list()) enqueueAfter(cacheKeyOf(quota), SERVED_AFTER_MS);
      };
      await using monitors = new QuotaMonitors(deps, replenished, servedAnew);
      const kindsOf = (quota: ResourceQuota): readonly CountedKind[] =>
        countedKinds(Object.keys(quota.spec?.hard ?? {}));
      const controller = defineController<ResourceQuota>(deps, {
        name: "resourcequota",
        for: ResourceQuota,
        changed: (quota, old) => old === undefined || !equalJson(old.spec?.hard, quota.spec?.hard),
        workers,
        started(context) {
          ({ enqueue, enqueueAfter } = context);
        },
        async reconcile(key, { signal: running }) {
          const quota = quotas.byKey(key);
          if (quota === undefined) {
            monitors.retain(quotas.list().flatMap(kindsOf));
            return done;
          }
          const { namespace = "" } = quota.metadata;
          const counted: CountedObjects[] = [];
          let isAllServed = true;
          for (const kind of kindsOf(quota)) {
            const objects = await monitors.objects(kind, namespace, running);
            if (objects === undefined) isAllServed = false;
            else counted.push({ ...kind, objects });
          }
          const again = requeueAfter(isAllServed ? resyncMs : UNKNOWN_KIND_MS);
          const status = quotaStatus(quota, counted, deps.clock.now());
          if (status === undefined) return again;
          try {
            await deps.client.update(ResourceQuota, { ...quota, status }, { subresource: "status", signal: running });
          } catch (error) {
            if (!isNotFound(error)) throw error;
          }
          return again;
        },
      });
      await controller.run(signal);
    },
  };
}
