import type { Pod } from "@coracle/api/core/v1";
import type { ClusterEvent } from "../framework/plugin.ts";
import type { SchedulingQueue } from "../queue/scheduling-queue.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { ClusterInformers } from "./cluster-informers.ts";
import { nodeChanges, placedPodChanges, podChanges } from "./object-changes.ts";

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
  const place = (pod: Pod, events: readonly ClusterEvent[], old?: Pod): void => {
    state.setPod(pod);
    for (const event of events) queue.notify({ event, old, current: pod });
  };
  informers.pods.addHandlers({
    added(pod) {
      if (isPlaced(pod)) place(pod, ["assigned-pod-added"]);
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
        if (wasWaiting) place(pod, ["assigned-pod-added"]);
        else place(pod, placedPodChanges(old, pod), old);
      } else if (!isMine(pod)) {
        queue.delete(pod);
        onDeleted(pod);
      } else if (!state.isAssumed(pod)) {
        const events = podChanges(old, pod);
        if (events.length > 0) queue.set(pod, old, events);
      }
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
      for (const event of nodeChanges(old, node)) queue.notify({ event, old, current: node });
    },
    deleted(node) {
      state.removeNode(node.metadata.name ?? "");
      queue.notify({ event: "node-deleted", old: node });
    },
  });
  informers.namespaces.addHandlers({
    added: ({ metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    updated: (_, { metadata: { name = "", labels = {} } }) => state.setNamespace(name, labels),
    deleted: ({ metadata: { name = "" } }) => state.removeNamespace(name),
  });
  for (const watch of [informers.storage, informers.devices]) watch.follow((change) => queue.notify(change));
}
