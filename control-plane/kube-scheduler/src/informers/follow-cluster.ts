import type { Pod } from "@coracle/api/core/v1";
import type { ClusterChange, ClusterEvent } from "../framework/plugin.ts";
import type { SchedulerMetrics } from "../metrics/scheduler-metrics.ts";
import { eventLabel } from "../queue/event-label.ts";
import type { SchedulingQueue } from "../queue/scheduling-queue.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { ClusterInformers } from "./cluster-informers.ts";
import { nodeChanges, placedPodChanges, podChanges } from "./object-changes.ts";

/** Where what happens in the cluster goes. */
export interface Followers {
  readonly state: ClusterState;
  readonly queue: SchedulingQueue;
  readonly metrics: SchedulerMetrics;
  /** Whether a profile places this pod. */
  readonly isMine: (pod: Pod) => boolean;
  /** Whether the pod waits for a plugin's leave or for its binding. */
  readonly onDeleted: (pod: Pod) => void;
}

export const isPlaced = (pod: Pod): boolean => (pod.spec.nodeName ?? "") !== "";

/** Keeps state and queue as the API server has them. */
export function followCluster(
  informers: ClusterInformers,
  { state, queue, metrics, isMine, onDeleted }: Followers,
): void {
  /** Takes a change in, then tells those who wait. */
  const take = (note: () => void, changes: readonly ClusterChange[]): void => {
    const isDone = metrics.startEvent();
    note();
    for (const change of changes) {
      queue.notify(change);
      isDone(eventLabel(change));
    }
  };
  const place = (pod: Pod, events: readonly ClusterEvent[], old?: Pod): void =>
    take(
      () => state.setPod(pod),
      events.map((event) => ({ event, old, current: pod })),
    );
  informers.pods.addHandlers({
    added(pod) {
      if (isPlaced(pod)) place(pod, ["assigned-pod-added"]);
      else if (isMine(pod)) {
        const nominated = pod.status?.nominatedNodeName ?? "";
        if (nominated !== "") state.nominate(pod, nominated);
        const isDone = metrics.startEvent();
        queue.set(pod);
        isDone("UnschedulablePodAdd");
      }
    },
    updated(old, pod) {
      if (isPlaced(pod)) {
        state.denominate(pod);
        const wasWaiting = !isPlaced(old);
        if (wasWaiting) queue.delete(pod);
        if (wasWaiting) place(pod, ["assigned-pod-added"]);
        else place(pod, placedPodChanges(old, pod), old);
      } else if (!isMine(pod)) {
        queue.delete(pod);
        onDeleted(pod);
      } else if (!state.isAssumed(pod)) {
        const events = podChanges(old, pod);
        if (events.length === 0) return;
        const isDone = metrics.startEvent();
        queue.set(pod, old, events);
        for (const event of events) isDone(eventLabel({ event }));
      }
    },
    deleted(pod) {
      queue.delete(pod);
      onDeleted(pod);
      const hadRoom = isPlaced(pod) || state.isAssumed(pod) || state.nominationOf(pod) !== undefined;
      state.denominate(pod);
      state.removePod(pod);
      if (hadRoom) take(() => undefined, [{ event: "assigned-pod-deleted", old: pod }]);
    },
  });
  informers.nodes.addHandlers({
    added(node) {
      take(() => state.setNode(node), [{ event: "node-added", current: node }]);
    },
    updated(old, node) {
      const changes = nodeChanges(old, node).map((event) => ({ event, old, current: node }));
      take(() => state.setNode(node), changes);
    },
    deleted(node) {
      take(() => state.removeNode(node.metadata.name ?? ""), [{ event: "node-deleted", old: node }]);
    },
  });
  informers.namespaces.addHandlers({
    added: ({ metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    updated: (_, { metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    deleted: ({ metadata: { name = "" } }) => state.removeNamespace(name),
  });
  for (const watch of [informers.storage, informers.devices]) watch.follow((change) => take(() => undefined, [change]));
}
