import type { KubeObject, ResourceType } from "@coracle/api";
import { Event, Namespace, Node } from "@coracle/api/core/v1";
import { Cleanup, systemClock } from "@coracle/base";
import { createInformer, dropManagedFields, type ApiClient, type OwnedInformer } from "@coracle/client";
import { any, KINDS, pictureFrom, type OrderedPicture } from "../picture.ts";

/** Nodes of a history carry its namespace under this label. */
export const HISTORY_LABEL = "example.com/history";

/** Follows all that a cluster holds, and says what a namespace looks like and since when. */
export interface Camera extends AsyncDisposable {
  look(namespace: string): OrderedPicture;
  /** How often something has changed in the namespace. */
  changes(namespace: string): number;
  /** Milliseconds since the last change in it. */
  quietMs(namespace: string): number;
}

interface Seen {
  changes: number;
  at: number;
}

/** Starts one; `more` are kinds beside the usual ones. */
export async function openCamera(client: ApiClient, more: readonly ResourceType<KubeObject>[]): Promise<Camera> {
  const cleanup = new Cleanup();
  const seen = new Map<string, Seen>();
  const note = (type: ResourceType<KubeObject>, object: KubeObject): void => {
    const namespace = namespaceOf(type, object);
    if (namespace === undefined) return;
    const { changes = 0 } = seen.get(namespace) ?? {};
    seen.set(namespace, { changes: changes + 1, at: systemClock.monotonicMs() });
  };
  const follow = (type: ResourceType<KubeObject>): OwnedInformer<KubeObject> => {
    const informer = cleanup.use(createInformer({ client }, type, { transform: dropManagedFields }));
    informer.addHandlers({
      added: (object) => note(type, object),
      updated: (old, now) => {
        if (type !== any(Node) || isChanged(old as Node, now as Node)) note(type, now);
      },
      deleted: (object) => note(type, object),
    });
    return informer;
  };
  const kinds = [...KINDS, any(Namespace), any(Node), ...more].map(follow);
  const events = follow(any(Event));
  await Promise.all([...kinds, events].map(async (informer) => informer.waitForSync()));
  return {
    look(namespace) {
      const lists = new Map<string, readonly KubeObject[]>();
      for (const { type, lister } of kinds)
        lists.set(
          type.kind,
          type.namespaced
            ? lister.list(namespace)
            : lister.list().filter((each) => namespaceOf(type, each) === namespace),
        );
      return pictureFrom(lists, events.lister.list(namespace) as readonly Event[]);
    },
    changes: (namespace) => seen.get(namespace)?.changes ?? 0,
    quietMs: (namespace) => systemClock.monotonicMs() - (seen.get(namespace)?.at ?? 0),
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

/** The namespace an object is in, is, or is there for. */
function namespaceOf({ kind }: ResourceType<KubeObject>, { metadata }: KubeObject): string | undefined {
  if (metadata.namespace !== undefined) return metadata.namespace;
  return kind === "Namespace" ? metadata.name : metadata.labels?.[HISTORY_LABEL];
}

/** A node that says again what it said before says nothing. */
const isChanged = (a: Node, b: Node): boolean => {
  const told = ({ metadata, spec, status }: Node): string =>
    JSON.stringify([
      metadata.labels,
      metadata.deletionTimestamp,
      spec,
      status?.conditions?.map((each) => [each.type, each.status]),
    ]);
  return told(a) !== told(b);
};
