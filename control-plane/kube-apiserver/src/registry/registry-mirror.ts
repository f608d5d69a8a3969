import type { StorageEvent } from "../storage/object-storage.ts";
import type { Registry } from "./registry.ts";
import { systemContext, type ResourceRef } from "./registry-reader.ts";
import type { ApiObject } from "./resource-definition.ts";

export interface MirrorHandlers {
  /** A new or changed object. */
  upsert(object: ApiObject): void;
  removed(object: ApiObject): void;
  /** Everything known so far is void: the present state follows. */
  reset(): void;
}

export interface Mirror extends Disposable {
  /** Resolves once the state at the start was delivered. */
  readonly synced: Promise<void>;
}

/** Follows all objects of one resource inside the server, from the present state on. */
export function followResource(registry: Registry, ref: ResourceRef, handlers: MirrorHandlers): Mirror {
  const handler = registry.resource(ref.group, ref.version, ref.plural);
  if (handler === undefined) throw new Error(`the server has no resource ${ref.plural}.${ref.group}`);
  let isOver = false;
  let watch: Disposable | undefined;
  let settle: () => void = () => {};
  const synced = new Promise<void>((resolve) => (settle = resolve));
  const begin = (): void => {
    handlers.reset();
    watch = handler.watch(
      systemContext(),
      undefined,
      { allowWatchBookmarks: false, resourceVersion: "0" },
      {
        event(type: "ADDED" | "MODIFIED" | "DELETED", event: StorageEvent) {
          if (type === "DELETED") handlers.removed(event.current.object);
          else handlers.upsert(event.current.object);
        },
        initialDone: () => settle(),
        closed(reason) {
          settle();
          if (reason === "expired" && !isOver) begin();
        },
      },
    );
  };
  begin();
  return {
    synced,
    [Symbol.dispose]() {
      isOver = true;
      watch?.[Symbol.dispose]();
    },
  };
}
