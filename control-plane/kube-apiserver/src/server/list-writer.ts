import { createGzip } from "node:zlib";
import type { JsonObject } from "@coracle/apimachinery";
import type { ListAnswer } from "../registry/registry.ts";
import type { ApiRequest } from "./api-request.ts";
import type { BodyWriter } from "./exchange.ts";
import { encodeValue, partialMetadata, protobufMessageOf, type EncodeOptions } from "./object-encoder.ts";
import { CONTENT_TYPES } from "./negotiation.ts";
import { acceptsGzip, baseHeaders, GZIP_THRESHOLD_BYTES, sendBytes } from "./responder.ts";
import { tableOf } from "./table/table.ts";

const CHUNK_BYTES = 256 * 1024;
const OPEN = Buffer.from("{");
const NEXT = Buffer.from(",{");
const TAIL = Buffer.from("]}\n");

/** Copies small buffers together, so that each write is worth its cost, and waits when the client is slow. */
async function writePieces(body: BodyWriter, pieces: Iterable<Buffer>): Promise<void> {
  let chunk: Buffer[] = [];
  let size = 0;
  for (const piece of pieces) {
    chunk.push(piece);
    size += piece.length;
    if (size < CHUNK_BYTES) continue;
    const mayGoOn = body.write(Buffer.concat(chunk, size));
    chunk = [];
    size = 0;
    if (!mayGoOn) await body.drained();
    if (body.isClosed) return;
  }
  if (size > 0) body.write(Buffer.concat(chunk, size));
  body.end();
}

/** The same through gzip. */
async function writeCompressed(body: BodyWriter, pieces: Iterable<Buffer>): Promise<void> {
  const gzip = createGzip({ level: 1, chunkSize: CHUNK_BYTES });
  body.onClose(() => gzip.destroy());
  const output = (async () => {
    for await (const chunk of gzip) {
      if (!body.write(chunk as Buffer)) await body.drained();
      if (body.isClosed) return;
    }
    body.end();
  })();
  let chunk: Buffer[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    const whole = Buffer.concat(chunk, size);
    chunk = [];
    size = 0;
    if (!gzip.write(whole) && !gzip.destroyed) {
      await new Promise<void>((resolve) => {
        gzip.once("drain", resolve);
        gzip.once("close", resolve);
      });
    }
  };
  for (const piece of pieces) {
    chunk.push(piece);
    size += piece.length;
    if (size >= CHUNK_BYTES) await flush();
    if (body.isClosed) break;
  }
  if (size > 0) await flush();
  gzip.end();
  await output;
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

function* jsonPieces(head: Buffer, list: ListAnswer, type: Buffer): Generator<Buffer> {
  yield head;
  let open = OPEN;
  for (const { json, object } of list.items) {
    yield open;
    open = NEXT;
    if (json.compare(type, 0, type.length, 0, type.length) === 0) yield json.subarray(type.length);
    else yield Buffer.from(JSON.stringify(withoutType(object)).slice(1));
  }
  yield TAIL;
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
    const type = typeOf(options, apiVersion);
    let size = head.length + TAIL.length;
    for (const item of list.items) size += item.json.length + 2;
    if (size <= CHUNK_BYTES && (size < GZIP_THRESHOLD_BYTES || !acceptsGzip(request))) {
      request.exchange.send(200, baseHeaders(request, contentType), Buffer.concat([...jsonPieces(head, list, type)]));
      return;
    }
    const headers = baseHeaders(request, contentType);
    if (acceptsGzip(request)) {
      headers["content-encoding"] = "gzip";
      headers["vary"] = "Accept-Encoding";
      await writeCompressed(request.exchange.stream(200, headers), jsonPieces(head, list, type));
    } else await writePieces(request.exchange.stream(200, headers), jsonPieces(head, list, type));
    return;
  }
  if (format.as === "" && format.media === "protobuf") {
    const { codecs } = options;
    const type = { apiVersion, kind: resource.listKind ?? `${resource.kind}List` };
    const items = list.items.map((item) => protobufMessageOf(item, codecs));
    await sendBytes(request, 200, contentType, codecs.protobuf!.joinList(type, list.metadata, items));
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
      items: objects.map((object) => partialMetadata(object, format.asVersion)),
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
