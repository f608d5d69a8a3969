import type { Pod } from "@coracle/api/core/v1";
import type { ClusterEvent } from "../framework/plugin.ts";
import type { SchedulingQueue } from "../queue/scheduling-queue.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { ClusterInformers } from "./cluster-informers.ts";
import { isNodeChange, isPlacedPodChange, isWorthAnotherTry } from "./object-changes.ts";

/** Where what happens in the cluster goes. */
export interface Followers {
  readonly state: ClusterState;
  readonly queue: SchedulingQueue;
  /** Whether a profile places this pod. */
  readonly isMine: (pod: Pod) => boolean;
  /** Whether the pod waits for a plugin's leave or for its binding. */
  readonly onDeleted: (pod: Pod) => void;
}

export const isPlaced = (pod: Pod): boolean => (pod.spec.nodeName ?? "") !== "";

/** Keeps state and queue as the API server has them. */
export function followCluster(informers: ClusterInformers, { state, queue, isMine, onDeleted }: Followers): void {
  const place = (pod: Pod, event: ClusterEvent, old?: Pod): void => {
    // Confirmations of our own placements change nothing for those who wait.
    const isNews = !state.isAssumed(pod);
    state.setPod(pod);
    if (isNews && (old === undefined || event !== "assigned-pod-changed" || isPlacedPodChange(old, pod)))
      queue.notify({ event, old, current: pod });
  };
  informers.pods.addHandlers({
    added(pod) {
      if (isPlaced(pod)) place(pod, "assigned-pod-added");
      else if (isMine(pod)) {
        const nominated = pod.status?.nominatedNodeName ?? "";
        if (nominated !== "") state.nominate(pod, nominated);
        queue.set(pod);
      }
    },
    updated(old, pod) {
      if (isPlaced(pod)) {
        state.denominate(pod);
        const wasWaiting = !isPlaced(old);
        if (wasWaiting) queue.delete(pod);
        place(pod, wasWaiting ? "assigned-pod-added" : "assigned-pod-changed", old);
      } else if (!isMine(pod)) {
        queue.delete(pod);
        onDeleted(pod);
      } else if (!state.isAssumed(pod) && isWorthAnotherTry(old, pod)) queue.set(pod, old);
    },
    deleted(pod) {
      queue.delete(pod);
      onDeleted(pod);
      const hadRoom = isPlaced(pod) || state.isAssumed(pod) || state.nominationOf(pod) !== undefined;
      state.denominate(pod);
      state.removePod(pod);
      if (hadRoom) queue.notify({ event: "assigned-pod-deleted", old: pod });
    },
  });
  informers.nodes.addHandlers({
    added(node) {
      state.setNode(node);
      queue.notify({ event: "node-added", current: node });
    },
    updated(old, node) {
      state.setNode(node);
      if (isNodeChange(old, node)) queue.notify({ event: "node-changed", old, current: node });
    },
    deleted(node) {
      state.removeNode(node.metadata.name ?? "");
      queue.notify({ event: "other", old: node });
    },
  });
  informers.namespaces.addHandlers({
    added: ({ metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    updated: (_, { metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    deleted: ({ metadata: { name = "" } }) => state.removeNamespace(name),
  });
  for (const watch of [informers.storage, informers.devices]) watch.follow((change) => queue.notify(change));
}
