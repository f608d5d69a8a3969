import { createGzip } from "node:zlib";
import type { JsonObject } from "@coracle/apimachinery";
import type { ListAnswer } from "../registry/registry.ts";
import type { ApiRequest } from "./api-request.ts";
import type { BodyWriter } from "./exchange.ts";
import { encodeValue, partialMetadata, protobufMessageOf, type EncodeOptions } from "./object-encoder.ts";
import { CONTENT_TYPES } from "./negotiation.ts";
import { acceptsGzip, baseHeaders, GZIP_THRESHOLD_BYTES, sendBytes } from "./responder.ts";
import { tableOf } from "./table/table.ts";

const CHUNK_BYTES = 128 * 1024;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const OPEN = Buffer.from("{");
const TAIL = Buffer.from("]}\n");

/** Waits when the client is slow. */
async function writeChunks(request: ApiRequest, body: BodyWriter, chunks: Iterable<Buffer>): Promise<void> {
  for (const chunk of chunks) {
    request.streamedBytes += chunk.length;
    const mayGoOn = body.write(chunk);
    if (!mayGoOn) await body.drained();
    if (body.isClosed) return;
  }
  body.end();
}

/** The same through gzip. */
async function writeCompressed(request: ApiRequest, body: BodyWriter, chunks: Iterable<Buffer>): Promise<void> {
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
  for (const chunk of chunks) {
    if (!gzip.write(chunk) && !gzip.destroyed) {
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
async function sendChunks(request: ApiRequest, contentType: string, chunks: Iterable<Buffer>): Promise<void> {
  const headers = baseHeaders(request, contentType);
  if (!acceptsGzip(request)) {
    await writeChunks(request, request.exchange.stream(200, headers), chunks);
    return;
  }
  headers["content-encoding"] = "gzip";
  headers["vary"] = "Accept-Encoding";
  await writeCompressed(request, request.exchange.stream(200, headers), chunks);
}

/** Copies pieces together, so that each write is worth its cost. */
class ChunkFiller {
  #chunk: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#chunk = Buffer.allocUnsafeSlow(Math.min(size, CHUNK_BYTES));
  }

  /** The chunk so far, if `size` more bytes do not fit into it: to be written before anything is added. */
  full(size: number): Buffer | undefined {
    if (this.#at + size <= this.#chunk.length) return undefined;
    const chunk = this.rest();
    this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, size));
    this.#at = 0;
    return chunk.length === 0 ? undefined : chunk;
  }

  addByte(byte: number): void {
    this.#chunk[this.#at++] = byte;
  }

  /** Adds bytes from a position on. */
  add(bytes: Uint8Array, from = 0): void {
    if (from === 0) this.#chunk.set(bytes, this.#at);
    else (bytes as Buffer).copy(this.#chunk, this.#at, from);
    this.#at += bytes.length - from;
  }

  rest(): Buffer {
    return this.#chunk.subarray(0, this.#at);
  }
}

function* chunksOf(pieces: readonly Uint8Array[]): Generator<Buffer> {
  const filler = new ChunkFiller(CHUNK_BYTES);
  for (const piece of pieces) {
    const full = filler.full(piece.length);
    if (full !== undefined) yield full;
    filler.add(piece);
  }
  yield filler.rest();
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

function* jsonChunks(head: Buffer, list: ListAnswer, type: Buffer, size: number): Generator<Buffer> {
  const filler = new ChunkFiller(size);
  const tooLong = filler.full(head.length);
  if (tooLong !== undefined) yield tooLong;
  filler.add(head);
  let isFirst = true;
  for (const item of list.items) {
    const hasType = item.json.compare(type, 0, type.length, 0, type.length) === 0;
    const json = hasType ? item.json : Buffer.from(JSON.stringify(withoutType(item.object)));
    const full = filler.full(json.length + 2);
    if (full !== undefined) yield full;
    if (!isFirst) filler.addByte(COMMA);
    isFirst = false;
    filler.addByte(OPEN_BRACE);
    filler.add(json, hasType ? type.length : 1);
  }
  const full = filler.full(TAIL.length);
  if (full !== undefined) yield full;
  filler.add(TAIL);
  yield filler.rest();
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
      const [whole] = jsonChunks(head, list, type, size);
      request.exchange.send(200, baseHeaders(request, contentType), whole);
      return;
    }
    await sendChunks(request, contentType, jsonChunks(head, list, type, size));
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
    else await sendChunks(request, contentType, chunksOf(pieces));
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
