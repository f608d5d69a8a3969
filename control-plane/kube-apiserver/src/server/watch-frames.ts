import type { JsonObject } from "@coracle/apimachinery";
import type { CatalogResource } from "../discovery/catalog.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { StorageEvent } from "../storage/object-storage.ts";
import type { Format } from "./negotiation.ts";
import { partialMetadata, protobufOf } from "./object-encoder.ts";
import { tableOf, type IncludeObject } from "./table/table.ts";
import { protobufWatchFrame, type WireCodecs } from "./wire-codec.ts";

export type WatchEventType = "ADDED" | "MODIFIED" | "DELETED";

const HEADS: Readonly<Record<WatchEventType, Buffer>> = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};
const TAIL = Buffer.from("}\n");

/** How a watcher wants its events. */
export interface FrameForm {
  readonly resource: CatalogResource;
  readonly format: Format;
  readonly includeObject: IncludeObject;
  readonly codecs: WireCodecs;
  readonly now: () => number;
}

/** The form's name: watchers with the same name get the same buffers. */
export function formKey(format: Format, includeObject: IncludeObject): string {
  return `${format.media} ${format.as} ${format.asVersion} ${format.as === "Table" ? includeObject : ""}`;
}

/** The object as a watcher sees it: one that ceases to match is shown in its last matching state, at the new version. */
function objectOf(type: WatchEventType, event: StorageEvent): ApiObject {
  if (type !== "DELETED" || event.type === "DELETED" || event.previous === undefined) return event.current.object;
  const { object } = event.previous;
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(event.revision) } };
}

function encodeFrame(type: string, object: JsonObject, form: FrameForm): Buffer {
  const { format, codecs } = form;
  if (format.media === "protobuf") {
    const { protobuf } = codecs;
    const wireType = { apiVersion: object["apiVersion"] as string, kind: object["kind"] as string };
    return protobufWatchFrame(type, protobuf!.wrap(wireType, protobuf!.encodeMessage(object)));
  }
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}

function transformed(object: ApiObject, form: FrameForm, hasHeader: boolean): JsonObject {
  const { format } = form;
  if (format.as === "") return object;
  if (format.as !== "Table") return partialMetadata(object, format.asVersion);
  return tableOf(form.resource, [object], {
    version: format.asVersion,
    includeObject: form.includeObject,
    now: form.now(),
    metadata: { resourceVersion: object.metadata["resourceVersion"] ?? "" },
    hasHeader,
  });
}

/** Whether an event's JSON frame can be put together from kept bytes. */
function hasKeptBytes(type: WatchEventType, event: StorageEvent, form: FrameForm): boolean {
  return form.format.as === "" && (type !== "DELETED" || event.type === "DELETED" || event.previous === undefined);
}

/**
 * Frames of the event being delivered. Events reach all watchers one after another, so keeping the last event's
 * frames is enough for every watcher to get the same buffer, and nothing is kept beyond it.
 */
export class FrameCache {
  #event: StorageEvent | undefined;
  #frames = new Map<string, Buffer>();
  /** The last answer: most watchers want what the one before wanted. */
  #type: WatchEventType = "ADDED";
  #key = "";
  #hasHeader = false;
  #frame: Buffer | undefined;

  frame(type: WatchEventType, event: StorageEvent, key: string, form: FrameForm, hasHeader: boolean): Buffer {
    if (this.#event !== event) {
      this.#event = event;
      this.#frames = new Map();
    } else if (this.#frame !== undefined && this.#type === type && this.#key === key && this.#hasHeader === hasHeader) {
      return this.#frame;
    }
    const full = hasHeader ? `${type} ${key} header` : `${type} ${key}`;
    let frame = this.#frames.get(full);
    if (frame === undefined) this.#frames.set(full, (frame = makeFrame(type, event, form, hasHeader)));
    this.#type = type;
    this.#key = key;
    this.#hasHeader = hasHeader;
    this.#frame = frame;
    return frame;
  }
}

function makeFrame(type: WatchEventType, event: StorageEvent, form: FrameForm, hasHeader: boolean): Buffer {
  if (hasKeptBytes(type, event, form)) {
    if (form.format.media === "json") return Buffer.concat([HEADS[type], event.current.json, TAIL]);
    if (form.format.media === "protobuf") return protobufWatchFrame(type, protobufOf(event.current, form.codecs));
  }
  return encodeFrame(type, transformed(objectOf(type, event), form, hasHeader), form);
}

/** An event of the present state, as pieces: nothing is copied before it is written. */
export function initialPieces(event: StorageEvent, form: FrameForm, hasHeader: boolean): readonly Buffer[] {
  if (form.format.as === "" && form.format.media === "json") return [HEADS.ADDED, event.current.json, TAIL];
  return [makeFrame("ADDED", event, form, hasHeader)];
}

/** Tells a watcher how far it has come; `isInitialEnd`: that the present state is complete. */
export function bookmarkFrame(resourceVersion: string, isInitialEnd: boolean, form: FrameForm): Buffer {
  const { resource, format } = form;
  const metadata = {
    resourceVersion,
    ...(isInitialEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {}),
  };
  const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
  const plain = { kind: resource.kind, apiVersion, metadata } as unknown as ApiObject;
  if (format.as === "Table") {
    const table = { ...transformed(plain, form, false), rows: [], metadata };
    // The annotation travels on the row's object; a bookmark's row says nothing else.
    return encodeFrame("BOOKMARK", isInitialEnd ? transformed(plain, form, false) : table, form);
  }
  return encodeFrame("BOOKMARK", transformed(plain, form, false), form);
}

/** A failure on a watch that has begun. */
export function errorFrame(status: JsonObject, form: FrameForm): Buffer {
  return encodeFrame("ERROR", status, form);
}
