import type { JsonObject } from "@coracle/apimachinery";
import type { CatalogResource } from "../discovery/catalog.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { StoredObject } from "../storage/object-storage.ts";
import type { Format } from "./negotiation.ts";
import { tableOf, type IncludeObject } from "./table/table.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** An object's metadata under meta.k8s.io's kind. */
export function partialMetadata(object: ApiObject | JsonObject, version: string): JsonObject {
  return {
    kind: "PartialObjectMetadata",
    apiVersion: `meta.k8s.io/${version}`,
    metadata: (object["metadata"] as JsonObject | undefined) ?? {},
  };
}

/** Kinds that are answered as they are, whatever transformation was asked for. */
const isPlainKind = (object: JsonObject): boolean => object["kind"] === "Status";

export interface EncodeOptions {
  readonly resource: CatalogResource;
  readonly format: Format;
  readonly includeObject: IncludeObject;
  readonly now: number;
  readonly codecs: WireCodecs;
  readonly isPretty: boolean;
}

/** A built-in kind's scale has columns of its own. */
function shownAs(object: JsonObject, resource: CatalogResource): CatalogResource {
  const isScale = object["kind"] === "Scale" && resource.table === undefined;
  return isScale ? { ...resource, group: "autoscaling", version: "v1", plural: "Scale" } : resource;
}

/** The value that a client asked for in place of `object`. */
function transformed(object: ApiObject | JsonObject, options: EncodeOptions): JsonObject {
  const { as, asVersion } = options.format;
  if (as === "" || isPlainKind(object)) return object;
  if (as === "Table") {
    return tableOf(shownAs(object, options.resource), [object as ApiObject], {
      version: asVersion,
      includeObject: options.includeObject,
      now: options.now,
      metadata: { resourceVersion: (object["metadata"] as JsonObject | undefined)?.["resourceVersion"] ?? "" },
      hasHeader: true,
    });
  }
  return partialMetadata(object, asVersion);
}

/** Any value as JSON, YAML or protobuf. */
export async function encodeValue(
  value: JsonObject,
  options: Pick<EncodeOptions, "format" | "codecs" | "isPretty">,
): Promise<Buffer> {
  const { format, codecs } = options;
  if (format.media === "yaml") return Buffer.from((await codecs.yaml()).print(value));
  if (format.media === "protobuf") {
    const { protobuf } = codecs;
    const type = { apiVersion: value["apiVersion"] as string, kind: value["kind"] as string };
    return protobuf!.wrap(type, protobuf!.encodeMessage(value));
  }
  return Buffer.from(options.isPretty ? JSON.stringify(value, undefined, 2) : JSON.stringify(value));
}

/** A stored object's bytes in the wanted form; plain JSON and protobuf are the kept ones. */
export function encodeStored(stored: StoredObject, options: EncodeOptions): Buffer | Promise<Buffer> {
  const { format, codecs } = options;
  if (format.as === "" && !options.isPretty) {
    if (format.media === "json") return stored.json;
    if (format.media === "protobuf") return protobufOf(stored, codecs);
  }
  return encodeValue(transformed(stored.object, options), options);
}

/** The enveloped protobuf of a stored object. */
export function protobufOf(stored: StoredObject, codecs: WireCodecs): Buffer {
  const type = { apiVersion: stored.object["apiVersion"] as string, kind: stored.object["kind"] as string };
  return codecs.protobuf!.wrap(type, protobufMessageOf(stored, codecs));
}

/** The bare protobuf message of a stored object, kept with it. */
export function protobufMessageOf(stored: StoredObject, codecs: WireCodecs): Buffer {
  return stored.encoded("protobuf", (one) => codecs.protobuf!.encodeMessage(one.object));
}

/** An answer that was not stored. */
export function encodeObject(object: JsonObject, options: EncodeOptions): Promise<Buffer> {
  return encodeValue(transformed(object, options), options);
}
