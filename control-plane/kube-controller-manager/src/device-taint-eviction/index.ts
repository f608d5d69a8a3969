import { Pod } from "@coracle/api/core/v1";
import { ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { TaskScope } from "@coracle/base";
import { isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { isActive } from "../pods/pod-state.ts";
import { podsByResourceClaim } from "../resource-claim/claim-indexes.ts";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import { timestamp } from "../time/timestamp.ts";
import { evictionOf, type DeviceView } from "./plan.ts";
import { createRuleStatusController, type RuleProgress } from "./rule-status.ts";

const poolKey = (driver: string, pool: string): string => `${driver}/${pool}`;
const claimsByPool = {
  pool: ({ status }: ResourceClaim): readonly string[] =>
    (status?.allocation?.devices?.results ?? []).map(({ driver, pool }) => poolKey(driver, pool)),
};
const slicesByPool = { pool: ({ spec }: ResourceSlice): readonly string[] => [poolKey(spec.driver, spec.pool.name)] };

/** Deletes pods whose devices have taints that their claims do not tolerate, or no longer. */
export function createDeviceTaintEvictionController(
  deps: ControllerDeps,
  options: { readonly workers: number; readonly watchesRules: boolean; readonly monitor: StorageMonitor },
): Controller {
  const { client, informers, clock, recorder } = deps;
  const pods = informers.informer(Pod, { indexes: podsByResourceClaim }).lister;
  const claims = informers.informer(ResourceClaim, { indexes: claimsByPool }).lister;
  const slices = informers.informer(ResourceSlice, { indexes: slicesByPool }).lister;
  const rules = options.watchesRules ? informers.informer(DeviceTaintRule).lister : undefined;
  /** Pods that are to go when their time has come. */
  const condemned = new Set<string>();

  const viewFor = ({ metadata }: Pod): DeviceView => ({
    claim: (name) => claims.get(metadata.namespace, name),
    slicesOf: (driver, pool) => slices.byIndex("pool", poolKey(driver, pool)),
    rules: rules?.list() ?? [],
  });
  const usersOf = (claim: ResourceClaim): readonly string[] =>
    pods.byIndex("resourceClaim", cacheKeyOf(claim)).map(cacheKeyOf);

  const progress: RuleProgress | undefined = rules && { evicted: new Map(), changed: () => {} };

  async function evict(pod: Pod, lateMs: number, signal: AbortSignal): Promise<boolean> {
    const { namespace, name = "", uid } = pod.metadata;
    tell(pod, "Marking for deletion");
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "DeletionByDeviceTaintManager",
      message: "Device Taint manager: deleting due to NoExecute taint",
      lastTransitionTime: timestamp(clock.now()),
    };
    try {
      const body = { metadata: { uid }, status: { conditions: [condition] } };
      await client.patch(Pod, { namespace, name }, "strategic", body, { subresource: "status", signal });
      await client.delete(Pod, { namespace, name }, { preconditions: { uid }, signal });
      options.monitor.evicted(lateMs);
      return true;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return false;
    }
  }

  const tell = (pod: Pod, message: string): void =>
    recorder.event(referenceTo(Pod, pod), "Normal", "DeviceTaintManagerEviction", message);

  const eviction = defineController<Pod>(deps, {
    name: "device-taint-eviction",
    for: Pod,
    changed: (pod) => pod.spec.resourceClaims !== undefined && (pod.spec.nodeName ?? "") !== "",
    watches: [
      mapped(ResourceClaim, usersOf, { indexes: claimsByPool }),
      mapped(ResourceSlice, ({ spec }) =>
        claims.byIndex("pool", poolKey(spec.driver, spec.pool.name)).flatMap(usersOf),
      ),
      ...(options.watchesRules ? [mapped(DeviceTaintRule, () => claims.list().flatMap(usersOf))] : []),
    ],
    workers: options.workers,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined || !isActive(pod)) {
        condemned.delete(key);
        return done;
      }
      const eviction = evictionOf(pod, viewFor(pod));
      if (eviction === undefined) {
        if (condemned.delete(key)) tell(pod, "Cancelling deletion");
        return done;
      }
      for (const rule of eviction.rules) progress?.changed(rule.metadata.name ?? "");
      const leftMs = eviction.time - clock.now();
      if (leftMs <= 0) {
        if (await evict(pod, -leftMs, signal))
          for (const { metadata } of eviction.rules) {
            const { uid = "" } = metadata;
            progress?.evicted.set(uid, (progress.evicted.get(uid) ?? 0) + 1);
          }
        condemned.delete(key);
        return done;
      }
      condemned.add(key);
      return requeueAfter(leftMs);
    },
  });
  if (progress === undefined) return eviction;
  const status = createRuleStatusController(deps, { pods, claims, slices, progress });
  return {
    name: eviction.name,
    async run(signal) {
      await using scope = new TaskScope(signal);
      for (const half of [eviction, status]) scope.run(async (running) => half.run(running));
      await scope.join();
    },
  };
}
