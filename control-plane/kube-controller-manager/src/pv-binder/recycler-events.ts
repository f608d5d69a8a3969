import { Event, type PersistentVolume } from "@coracle/api/core/v1";
import type { ApiClient, ObjectKey } from "@coracle/client";
import type { StorageWriter } from "./storage-writer.ts";
import { normal, warning } from "./told.ts";

const REASON = "RecyclerPod";

/** Tells at volumes what became of the pods that empty them. */
export interface RecyclerEvents {
  /** What is new of the volume's pod since the last time. */
  tell(volume: PersistentVolume, pod: ObjectKey, signal: AbortSignal): Promise<void>;
  /** The pod has done its work. */
  forget(volumeUid: string): void;
}

/** Whoever waits for a volume need not know of a pod in another namespace. */
export function createRecyclerEvents(client: ApiClient, writer: StorageWriter): RecyclerEvents {
  /** By uid of the volume: versions of events that were told. */
  const told = new Map<string, Set<string>>();
  return {
    async tell(volume, { namespace, name }, signal) {
      const { uid = "" } = volume.metadata;
      const known = told.get(uid) ?? new Set<string>();
      told.set(uid, known);
      const fieldSelector = `involvedObject.kind=Pod,involvedObject.name=${name}`;
      // The binder may watch events, and not list them: it looks until it has seen those that are there.
      for await (const change of client.watch(Event, { namespace, fieldSelector, sendInitialEvents: true, signal })) {
        if (change.type === "BOOKMARK" && change.initialEventsEnd) break;
        if (change.type !== "ADDED") continue;
        const { metadata, type, message = "" } = change.object;
        const version = `${metadata.uid}/${metadata.resourceVersion}`;
        if (known.has(version)) continue;
        known.add(version);
        writer.tellOfVolume(volume, (type === "Warning" ? warning : normal)(REASON, `Recycler pod: ${message}`));
      }
    },
    forget: (volumeUid) => void told.delete(volumeUid),
  };
}
