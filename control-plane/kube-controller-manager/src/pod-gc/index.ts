import { Node, Pod } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { cacheKeyOf } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import type { ControllerMetrics, PodRemoval } from "../metrics/controller-metrics.ts";
import { podsByNode } from "../node-lifecycle/index.ts";
import { isFinished } from "../pods/pod-state.ts";
import { byAge, timestamp } from "../time/timestamp.ts";

/** A node may be seen after its pods: so long a pod without node is given. */
const QUARANTINE_MS = 40_000;
/** A pod that was never started is told to be deleted, and deleted, in one breath: what remains of it after this time is stuck. */
const UNSCHEDULED_MS = 2_000;
const OUT_OF_SERVICE = "node.kubernetes.io/out-of-service";

const ENDED = "ended";
const endedOrNot = (pod: Pod): readonly string[] =>
  isFinished(pod) && pod.metadata.deletionTimestamp === undefined ? [ENDED] : [];

/** Removes pods that nobody else will: of nodes that are gone, never started ones that were deleted, and too many finished ones. */
export function createPodGcController(
  deps: ControllerDeps,
  terminatedThreshold: number,
  metrics?: ControllerMetrics,
): Controller {
  const { client, informers, clock } = deps;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: { ...podsByNode, [ENDED]: endedOrNot } }).lister;
  /** Since when a pod is known that is to go if it stays as it is. */
  const doubtedSince = new Map<string, Instant>();

  /** How long is left until the pod has been in doubt for that time. */
  function doubtMs(key: string, forMs: number): number {
    const since = doubtedSince.get(key) ?? clock.now();
    doubtedSince.set(key, since);
    return since + forMs - clock.now();
  }

  async function remove(pod: Pod, why: PodRemoval, signal: AbortSignal, reason?: string): Promise<void> {
    const { namespace, name = "", uid, generation: observedGeneration } = pod.metadata;
    try {
      if (!isFinished(pod)) {
        const now = timestamp(clock.now());
        const conditions =
          reason === undefined
            ? []
            : [
                {
                  type: "DisruptionTarget",
                  status: "True",
                  reason: "DeletionByPodGC",
                  message: reason,
                  observedGeneration,
                  lastTransitionTime: now,
                },
              ];
        const status = { phase: "Failed", observedGeneration, ...(conditions.length === 0 ? {} : { conditions }) };
        await client.patch(
          Pod,
          { namespace, name },
          "strategic",
          { metadata: { uid }, status },
          { subresource: "status", signal },
        );
      }
      await client.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid }, signal });
      metrics?.podRemoved(namespace ?? "", why);
    } catch (error) {
      if (isNotFound(error)) return;
      metrics?.podNotRemoved(namespace ?? "", why);
      throw error;
    }
  }

  /** The oldest finished pods beyond the threshold. */
  function surplus(): readonly Pod[] {
    const count = pods.countByIndex(ENDED, ENDED) - terminatedThreshold;
    if (terminatedThreshold <= 0 || count <= 0) return [];
    return pods.byIndex(ENDED, ENDED).toSorted(byAge).slice(0, count);
  }

  return defineController<Pod>(deps, {
    name: "pod-garbage-collector",
    for: Pod,
    changed: (pod, old) => {
      const { nodeName = "" } = pod.spec;
      const isNews =
        old === undefined ||
        old.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
        old.spec.nodeName !== nodeName ||
        isFinished(old) !== isFinished(pod);
      const isHealthy = pod.metadata.deletionTimestamp === undefined && !isFinished(pod);
      return isNews && !(isHealthy && (nodeName === "" || nodes.byKey(nodeName) !== undefined));
    },
    watches: [
      mapped(Node, (node) => {
        const { name = "" } = node.metadata;
        const isTroubled = nodes.byKey(name) === undefined || isOutOfService(node);
        return isTroubled ? pods.byIndex("node", name).map(cacheKeyOf) : [];
      }),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined) {
        doubtedSince.delete(key);
        return done;
      }
      const { nodeName = "" } = pod.spec;
      const isDeleted = pod.metadata.deletionTimestamp !== undefined;
      if (nodeName === "") {
        if (isDeleted) {
          const leftMs = doubtMs(key, UNSCHEDULED_MS);
          if (leftMs > 0) return requeueAfter(leftMs);
          await remove(pod, "unscheduled", signal);
        } else if (isFinished(pod)) for (const each of surplus()) await remove(each, "terminated", signal);
        return done;
      }
      const node = nodes.byKey(nodeName);
      if (node === undefined) {
        const leftMs = doubtMs(key, QUARANTINE_MS);
        if (leftMs > 0) return requeueAfter(leftMs);
        if (await isNodeThere(nodeName, signal)) return done;
        await remove(pod, "orphaned", signal, "PodGC: node no longer exists");
        return done;
      }
      doubtedSince.delete(key);
      if (isDeleted && isOutOfService(node) && !isReadyNode(node)) await remove(pod, "out-of-service", signal);
      else if (isFinished(pod)) for (const each of surplus()) await remove(each, "terminated", signal);
      return done;
    },
  });

  async function isNodeThere(name: string, signal: AbortSignal): Promise<boolean> {
    try {
      await client.get(Node, { name }, { signal });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }
}

function isOutOfService(node: Node): boolean {
  return (node.spec?.taints ?? []).some((taint) => taint.key === OUT_OF_SERVICE);
}

function isReadyNode(node: Node): boolean {
  return node.status?.conditions?.find((condition) => condition.type === "Ready")?.status === "True";
}
