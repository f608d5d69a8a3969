import { Node, Pod, type ObjectReference } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { cacheKeyOf, referenceTo, splitCacheKey } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { podsByNode } from "../node-lifecycle/index.ts";
import { timestamp } from "../time/timestamp.ts";
import { msUntilEviction } from "./plan.ts";

/** Deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer. */
export function createTaintEvictionController(deps: ControllerDeps, metrics?: ControllerMetrics): Controller {
  const { client, informers, clock, recorder } = deps;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: podsByNode }).lister;
  /** Pods that are to go later, and since when that is known; and those that have been told to, but are still there. */
  const scheduled = new Map<
    string,
    { readonly uid: string | undefined; readonly since: Instant; readonly isDone: boolean }
  >();
  function cancel(key: string, pod: ObjectReference): void {
    const known = scheduled.get(key);
    scheduled.delete(key);
    if (known?.isDone === false)
      recorder.event(pod, "Normal", "TaintManagerEviction", `Cancelling deletion of Pod ${pod.namespace}/${pod.name}`);
  }
  const drives = (node: Node | undefined): boolean =>
    (node?.spec?.taints ?? []).some((taint) => taint.effect === "NoExecute");

  return defineController<Pod>(deps, {
    name: "taint-eviction",
    for: Pod,
    changed: (pod) => pod.spec.nodeName !== undefined && drives(nodes.byKey(pod.spec.nodeName)),
    watches: [
      mapped(Node, (node, old) => {
        const isOver = old !== undefined && drives(old) && !drives(node);
        if ((!drives(node) && !isOver) || (old !== undefined && old.spec?.taints === node.spec?.taints)) return [];
        return pods.byIndex("node", node.metadata.name ?? "").map(cacheKeyOf);
      }),
    ],
    workers: 8,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined) {
        cancel(key, { apiVersion: "v1", kind: "Pod", ...splitCacheKey(key) });
        return done;
      }
      const node = nodes.byKey(pod.spec.nodeName ?? "");
      if (node === undefined) return done; // it goes anyway
      const taints = node.spec?.taints ?? [];
      const now = clock.now();
      const before = scheduled.get(key);
      const known = before?.uid === pod.metadata.uid ? before : undefined;
      const since = known?.since ?? now;
      const ms = msUntilEviction(taints, pod.spec.tolerations ?? [], now, since);
      const { namespace, name = "", uid } = pod.metadata;
      if (ms === undefined) {
        cancel(key, referenceTo(Pod, pod));
        return done;
      }
      if (known?.isDone === true) return done;
      if (ms > 0) {
        scheduled.set(key, { uid, since, isDone: false });
        return requeueAfter(ms);
      }
      recorder.event(
        referenceTo(Pod, pod),
        "Normal",
        "TaintManagerEviction",
        `Marking for deletion Pod ${namespace}/${name}`,
      );
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByTaintManager",
        message: "Taint manager: deleting due to NoExecute taint",
        observedGeneration: pod.metadata.generation,
        lastTransitionTime: timestamp(now),
      };
      try {
        const body = { metadata: { uid }, status: { conditions: [condition] } };
        await client.patch(Pod, { namespace, name }, "strategic", body, { subresource: "status", signal });
        await client.delete(Pod, { namespace, name }, { preconditions: { uid }, signal });
        scheduled.set(key, { uid, since, isDone: true });
        metrics?.podEvicted(clock.now() - now - ms);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
      return done;
    },
  });
}
