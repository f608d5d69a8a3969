import { createGzip } from "node:zlib";
import type { JsonObject } from "@coracle/apimachinery";
import type { ListAnswer } from "../registry/registry.ts";
import type { StoredObject } from "../storage/object-storage.ts";
import type { ApiRequest } from "./api-request.ts";
import type { BodyWriter } from "./exchange.ts";
import { encodeValue, partialMetadata, protobufMessageOf, type EncodeOptions } from "./object-encoder.ts";
import { CHUNK_BYTES, joinJsonList, joinPieces, sizeOfJsonList, type Chunk } from "./list-chunks.ts";
import { CONTENT_TYPES } from "./negotiation.ts";
import { acceptsGzip, baseHeaders, GZIP_THRESHOLD_BYTES, sendBytes } from "./responder.ts";
import { tableOf } from "./table/table.ts";

const OPEN = Buffer.from("{");
const TAIL = Buffer.from("]}\n");

/** Waits when the client is slow. */
async function writeChunks(request: ApiRequest, body: BodyWriter, chunks: Iterable<Chunk>): Promise<void> {
  for (const { bytes, release } of chunks) {
    request.streamedBytes += bytes.length;
    const mayGoOn = body.write(bytes, release);
    if (!mayGoOn) await body.drained();
    if (body.isClosed) return;
  }
  body.end();
}

/** The same through gzip. */
async function writeCompressed(request: ApiRequest, body: BodyWriter, chunks: Iterable<Chunk>): Promise<void> {
  const gzip = createGzip({ level: 1, chunkSize: CHUNK_BYTES });
  body.onClose(() => gzip.destroy());
  const output = (async () => {
    for await (const chunk of gzip) {
      request.streamedBytes += (chunk as Buffer).length;
      if (!body.write(chunk as Buffer)) await body.drained();
      if (body.isClosed) return;
    }
    body.end();
  })();
  for (const { bytes } of chunks) {
    if (!gzip.write(bytes) && !gzip.destroyed) {
      await new Promise<void>((resolve) => {
        gzip.once("drain", resolve);
        gzip.once("close", resolve);
      });
    }
    if (body.isClosed) break;
  }
  gzip.end();
  await output;
}

/** Answers with chunks, compressed for who wants it. */
async function sendChunks(request: ApiRequest, contentType: string, chunks: Iterable<Chunk>): Promise<void> {
  const headers = baseHeaders(request, contentType);
  if (!acceptsGzip(request)) {
    await writeChunks(request, request.exchange.stream(200, headers), chunks);
    return;
  }
  headers["content-encoding"] = "gzip";
  headers["vary"] = "Accept-Encoding";
  await writeCompressed(request, request.exchange.stream(200, headers), chunks);
}

/** An item of a list as it is written there: its type is said once, by the list. */
export function withoutType(object: JsonObject): JsonObject {
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = object;
  return rest;
}

/** How the kept bytes of every object of the kind begin; custom resources say their type in each item, too. */
function typeOf({ resource }: EncodeOptions, apiVersion: string): Buffer {
  if (resource.isCustom) return OPEN;
  return Buffer.from(`{"kind":${JSON.stringify(resource.kind)},"apiVersion":${JSON.stringify(apiVersion)},`);
}

/** Answers a list. Plain JSON joins the kept bytes of the items; protobuf joins their kept messages. */
export async function sendList(request: ApiRequest, answer: ListAnswer, options: EncodeOptions): Promise<void> {
  const { resource, format } = options;
  // Lists of custom resources always say where they go on, if only that they do not.
  const isPlain = resource.isCustom && format.as === "";
  const list: ListAnswer = isPlain ? { ...answer, metadata: { continue: "", ...answer.metadata } } : answer;
  const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
  const contentType = CONTENT_TYPES[format.media];
  if (format.as === "" && format.media === "json" && !options.isPretty) {
    const head = Buffer.from(
      `{"kind":${JSON.stringify(resource.listKind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":${JSON.stringify(list.metadata)},"items":[`,
    );
    const joined = {
      head,
      items: list.items,
      left: typeOf(options, apiVersion),
      otherwise: ({ object }: StoredObject) => Buffer.from(JSON.stringify(withoutType(object))),
      tail: TAIL,
    };
    const size = sizeOfJsonList(joined);
    if (size > CHUNK_BYTES || (size >= GZIP_THRESHOLD_BYTES && acceptsGzip(request))) {
      await sendChunks(request, contentType, joinJsonList(joined));
      return;
    }
    const [whole] = joinJsonList(joined, Buffer.allocUnsafe(size));
    request.exchange.send(200, baseHeaders(request, contentType), whole?.bytes);
    return;
  }
  if (format.as === "" && format.media === "protobuf") {
    const { codecs } = options;
    const type = { apiVersion, kind: resource.listKind ?? `${resource.kind}List` };
    const items = list.items.map((item) => protobufMessageOf(item, codecs));
    const pieces = codecs.protobuf!.joinList(type, list.metadata, items);
    let size = 0;
    for (const piece of pieces) size += piece.length;
    if (size <= CHUNK_BYTES) await sendBytes(request, 200, contentType, Buffer.concat(pieces, size));
    else await sendChunks(request, contentType, joinPieces(pieces));
    return;
  }
  const objects = list.items.map((item) => item.object);
  let value: JsonObject;
  if (format.as === "Table") {
    value = tableOf(resource, objects, {
      version: format.asVersion,
      includeObject: options.includeObject,
      now: options.now,
      metadata: list.metadata,
      hasHeader: true,
    });
  } else if (format.as !== "") {
    value = {
      kind: "PartialObjectMetadataList",
      apiVersion: `meta.k8s.io/${format.asVersion}`,
      metadata: list.metadata,
      // None are null, here alone.
      items: objects.length === 0 ? null : objects.map((object) => partialMetadata(object, format.asVersion)),
    };
  } else
    value = {
      kind: resource.listKind ?? `${resource.kind}List`,
      apiVersion,
      metadata: list.metadata,
      items: resource.isCustom ? objects : objects.map(withoutType),
    };
  await sendBytes(request, 200, contentType, await encodeValue(value, options));
}
