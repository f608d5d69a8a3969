import { openLineTable } from "../tables.ts";
import { SPECIAL_MESSAGES, type NestedCodec, type SpecialMessage } from "./kubernetes-values.ts";
import { createMessageSet, type Field, type Message, type MessageSet } from "./message.ts";
import { ProtoError, ProtoReader, ProtoWriter } from "./wire.ts";

/** The media type of the binary form of built-in kinds. */
export const KUBERNETES_PROTOBUF = "application/vnd.kubernetes.protobuf";

const MAGIC = Buffer.from([0x6b, 0x38, 0x73, 0x00]);
const META = "k8s.io.apimachinery.pkg.apis.meta.v1";
const UNKNOWN = "k8s.io.apimachinery.pkg.runtime.Unknown";
const DEEPEST = 200;

type JsonObject = { readonly [key: string]: unknown };
type Members = { [name: string]: unknown };

let shared: MessageSet | undefined;
const messages = (): MessageSet => (shared ??= createMessageSet(openLineTable("protobuf"), "proto2", SPECIAL_MESSAGES));
const writer = new ProtoWriter();
const nested: NestedCodec = {
  write: (into, message, value) => writeMessage(into, known(message), value as JsonObject),
  read: (reader, message) => readMessage(reader, known(message), {}),
  readEmbedded: (bytes) => decodeKubernetes(bytes),
};
let depth = 0;

// Kinds of every group and version.
const META_KINDS = new Set([
  "APIGroup",
  "APIGroupList",
  "APIResourceList",
  "APIVersions",
  "CreateOptions",
  "DeleteOptions",
  "GetOptions",
  "ListOptions",
  "PartialObjectMetadata",
  "PartialObjectMetadataList",
  "PatchOptions",
  "Status",
  "UpdateOptions",
  "WatchEvent",
]);

const PACKAGES: Readonly<Record<string, string>> = {
  "": "k8s.io.api.core",
  "internal.apiserver.k8s.io": "k8s.io.api.apiserverinternal",
  "apiextensions.k8s.io": "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions",
  "apiregistration.k8s.io": "k8s.io.kube_aggregator.pkg.apis.apiregistration",
  "metrics.k8s.io": "k8s.io.metrics.pkg.apis.metrics",
  "custom.metrics.k8s.io": "k8s.io.metrics.pkg.apis.custom_metrics",
  "external.metrics.k8s.io": "k8s.io.metrics.pkg.apis.external_metrics",
};

function messageOf(apiVersion: unknown, kind: unknown): Message | undefined {
  if (typeof apiVersion !== "string" || typeof kind !== "string") return undefined;
  if (META_KINDS.has(kind)) return messages().find(`${META}.${kind}`);
  const slash = apiVersion.indexOf("/");
  const group = slash === -1 ? "" : apiVersion.slice(0, slash);
  const name = PACKAGES[group] ?? `k8s.io.api.${group.split(".")[0]}`;
  return messages().find(`${name}.${apiVersion.slice(slash + 1)}.${kind}`);
}

/** True for kinds that have a binary form: the built-in ones, not custom resources and not Table. */
export function hasKubernetesMessage(apiVersion: string, kind: string): boolean {
  return messageOf(apiVersion, kind) !== undefined;
}

/** The object's message without the envelope; undefined for kinds without a binary form. Throws ProtoError. */
export function encodeKubernetesMessage(object: JsonObject): Buffer | undefined {
  const message = messageOf(object["apiVersion"], object["kind"]);
  if (message === undefined) return undefined;
  try {
    writeMessage(writer, message, object);
    return writer.finish();
  } finally {
    writer.reset();
  }
}

/** Puts a message into the envelope that requests, responses and stored objects have. */
export function wrapKubernetesMessage(apiVersion: string, kind: string, message: Uint8Array): Buffer {
  writer.reset();
  writer.raw(MAGIC);
  writer.uint32(10);
  const start = writer.open();
  writer.uint32(10);
  writer.string(apiVersion);
  writer.uint32(18);
  writer.string(kind);
  writer.close(start);
  writer.uint32(18);
  writer.view(message);
  writer.uint32(26);
  writer.string("");
  writer.uint32(34);
  writer.string("");
  return writer.finish();
}

/** The whole binary form of an object; undefined for kinds without one. Throws ProtoError. */
export function encodeKubernetes(object: JsonObject): Buffer | undefined {
  const message = encodeKubernetesMessage(object);
  if (message === undefined) return undefined;
  return wrapKubernetesMessage(String(object["apiVersion"]), String(object["kind"]), message);
}

/**
 * The binary form of a list whose items are encoded already, by `encodeKubernetesMessage`: its bytes in pieces, for
 * there may be very many.
 */
export function joinKubernetesList(
  apiVersion: string,
  listKind: string,
  metadata: JsonObject,
  items: readonly Uint8Array[],
): Uint8Array[] {
  writer.reset();
  writer.uint32(10);
  const start = writer.open();
  writeMessage(writer, known(`${META}.ListMeta`), metadata);
  writer.close(start);
  const list: Uint8Array[] = [writer.finish()];
  let size = list[0]!.length;
  for (const item of items) {
    const head = lengthHead(item.length);
    list.push(head, item);
    size += head.length + item.length;
  }
  // The envelope around a message of that size, with the message taken out.
  writer.reset();
  writer.raw(MAGIC);
  writer.uint32(10);
  const type = writer.open();
  writer.uint32(10);
  writer.string(apiVersion);
  writer.uint32(18);
  writer.string(listKind);
  writer.close(type);
  writer.uint32(18);
  writer.uint32(size);
  const head = writer.finish();
  writer.uint32(26);
  writer.string("");
  writer.uint32(34);
  writer.string("");
  return [head, ...list, writer.finish()];
}

/** Heads of items by the items' length: many are of one length. */
const heads = new Map<number, Buffer>();

/** What goes before an item: its field's number, 2, and its length. */
function lengthHead(length: number): Buffer {
  const known = heads.get(length);
  if (known !== undefined) return known;
  writer.uint32(18);
  writer.uint32(length);
  const head = writer.finish();
  if (heads.size < 16_384) heads.set(length, head);
  return head;
}

/** True for bytes that start as the binary form does. */
export function isKubernetesProtobuf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && MAGIC.every((byte, i) => bytes[i] === byte);
}

/**
 * The JSON form of an object in binary form, with `apiVersion` and `kind`. Zero values that Go omits are absent; run it
 * through the schema engine for the canonical form. Throws ProtoError.
 */
export function decodeKubernetes(bytes: Uint8Array): Members {
  if (!isKubernetesProtobuf(bytes)) {
    throw new ProtoError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  }
  const reader = new ProtoReader(bytes);
  reader.position = 4;
  let typeMeta: Members = {};
  let raw: Buffer = Buffer.alloc(0);
  let contentType = "";
  const outer = reader.end;
  while (reader.position < outer) {
    const tag = reader.uint32();
    switch (tag) {
      case 10: {
        const length = reader.length();
        reader.end = reader.position + length;
        typeMeta = readMessage(reader, known(`${UNKNOWN.replace("Unknown", "TypeMeta")}`), {});
        reader.end = outer;
        break;
      }
      case 18:
        raw = reader.view();
        break;
      case 34:
        contentType = reader.string();
        break;
      default:
        reader.skip(tag & 7);
    }
  }
  const { apiVersion, kind } = typeMeta;
  if (contentType === "application/json") {
    try {
      return JSON.parse(raw.toString("utf8")) as Members;
    } catch (error) {
      throw new ProtoError("the enclosed object is not JSON", { cause: error });
    }
  }
  const message = messageOf(apiVersion, kind);
  if (message === undefined) {
    throw new ProtoError(`no kind "${String(kind)}" is registered for version "${String(apiVersion)}"`);
  }
  const outerDepth = depth;
  try {
    return readMessage(new ProtoReader(raw), message, { kind, apiVersion });
  } finally {
    depth = outerDepth;
  }
}

/** One watch event: four bytes of length, then the event around the object's whole binary form. */
export function encodeWatchFrame(type: string, object: Uint8Array): Buffer {
  writer.reset();
  writer.uint32(10);
  writer.string(type);
  writer.uint32(18);
  const start = writer.open();
  writer.uint32(10);
  writer.view(object);
  writer.close(start);
  const event = writer.finish();
  const frame = Buffer.allocUnsafe(event.length + 4);
  frame.writeUInt32BE(event.length, 0);
  event.copy(frame, 4);
  return frame;
}

/** The event inside a frame, without the four bytes of length. Throws ProtoError. */
export function decodeWatchFrame(event: Uint8Array): { readonly type: string; readonly object: unknown } {
  const { type, object } = readMessage(new ProtoReader(event), known(`${META}.WatchEvent`), {});
  return { type: typeof type === "string" ? type : "", object };
}

function known(name: string): Message {
  const message = messages().find(name);
  if (message === undefined) throw new Error(`the table has no message ${name}`);
  return message;
}

const NO_MEMBERS: JsonObject = {};

function writeMessage(into: ProtoWriter, message: Message, value: JsonObject): void {
  const { fields } = message;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as Field;
    const member = field.inline ? value : value[field.name];
    if (field.mapKey !== undefined) {
      if (member !== undefined && member !== null) writeMap(into, field, member as JsonObject);
    } else if (field.isRepeated) {
      if (member === undefined || member === null) continue;
      for (const item of member as readonly unknown[]) {
        into.uint32(field.tag);
        writeValue(into, field, item);
      }
    } else if (member !== undefined && member !== null) {
      into.uint32(field.tag);
      writeValue(into, field, member);
    } else if (field.always) {
      into.uint32(field.tag);
      writeAbsent(into, field);
    }
  }
}

/** A plain value that nobody set is on the wire all the same. */
function writeAbsent(into: ProtoWriter, field: Field): void {
  switch (field.kind) {
    case "message": {
      const message = field.message as Message;
      const start = into.open();
      if (message.special === undefined) writeMessage(into, message, NO_MEMBERS);
      into.close(start);
      return;
    }
    case "double":
      return into.double(0);
    default:
      // An empty text, false and 0 are all one zero byte.
      return into.uint32(0);
  }
}

function writeMap(into: ProtoWriter, field: Field, entries: JsonObject): void {
  for (const key of Object.keys(entries).sort()) {
    into.uint32(field.tag);
    const start = into.open();
    into.uint32(10);
    into.string(key);
    into.uint32(16 | field.wireType);
    writeValue(into, field, entries[key]);
    into.close(start);
  }
}

function refuse(field: Field, value: unknown): never {
  throw new ProtoError(`${field.name}: ${JSON.stringify(value)} is not of type ${field.kind}`);
}

function writeValue(into: ProtoWriter, field: Field, value: unknown): void {
  switch (field.kind) {
    case "string":
      return into.string(typeof value === "string" ? value : refuse(field, value));
    case "bool":
      return into.bool(typeof value === "boolean" ? value : refuse(field, value));
    case "int32":
      return into.int32(typeof value === "number" ? value : refuse(field, value));
    case "int64":
      return into.int64(typeof value === "number" ? value : refuse(field, value));
    case "double":
      return into.double(typeof value === "number" ? value : refuse(field, value));
    case "bytes":
      return into.view(Buffer.from(typeof value === "string" ? value : refuse(field, value), "base64"));
    case "message": {
      const message = field.message as Message;
      const special = message.special as SpecialMessage | undefined;
      const start = into.open();
      if (special !== undefined) special.write(into, value, nested);
      else if (typeof value === "object" && value !== null) writeMessage(into, message, value as JsonObject);
      else refuse(field, value);
      into.close(start);
      return;
    }
    default:
      return refuse(field, value);
  }
}

function readMessage(reader: ProtoReader, message: Message, into: Members): Members {
  if (depth > DEEPEST) throw new ProtoError("proto: messages are nested too deeply");
  depth++;
  try {
    while (reader.position < reader.end) {
      const tag = reader.uint32();
      const field = message.byNumber.get(tag >>> 3);
      if (field === undefined) reader.skip(tag & 7);
      else readField(reader, field, tag & 7, into);
    }
    return into;
  } finally {
    depth--;
  }
}

function readField(reader: ProtoReader, field: Field, wireType: number, into: Members): void {
  const isWrapped = field.mapKey !== undefined;
  if (wireType !== (isWrapped ? 2 : field.wireType)) {
    throw new ProtoError(`proto: wrong wireType = ${wireType} for field ${field.name}`);
  }
  if (isWrapped) {
    readEntry(reader, field, ((into[field.name] as Members | undefined) ??= {}));
  } else if (field.isRepeated) {
    ((into[field.name] as unknown[] | undefined) ??= []).push(readValue(reader, field) ?? null);
  } else if (field.inline) {
    readNested(reader, field, into);
  } else {
    const value = readValue(reader, field);
    const isZero = value === "" || value === 0 || value === false;
    if (value !== undefined && !(isZero && !field.hasPresence && field.kind !== "message")) into[field.name] = value;
  }
}

function readNested(reader: ProtoReader, field: Field, into: Members): unknown {
  const message = field.message as Message;
  const outer = reader.end;
  const length = reader.length();
  reader.end = reader.position + length;
  const special = message.special as SpecialMessage | undefined;
  const value = special === undefined ? readMessage(reader, message, into) : special.read(reader, nested);
  reader.end = outer;
  return value;
}

function readEntry(reader: ProtoReader, field: Field, into: Members): void {
  const outer = reader.end;
  const length = reader.length();
  reader.end = reader.position + length;
  let key = "";
  let value: unknown;
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    if (tag === 10) key = reader.string();
    else if (tag >>> 3 === 2) {
      if ((tag & 7) !== field.wireType)
        throw new ProtoError(`proto: wrong wireType = ${tag & 7} for field ${field.name}`);
      value = readValue(reader, field);
    } else reader.skip(tag & 7);
  }
  reader.end = outer;
  value ??= field.kind === "message" ? {} : "";
  if (key === "__proto__") {
    Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
  } else into[key] = value;
}

function readValue(reader: ProtoReader, field: Field): unknown {
  switch (field.kind) {
    case "string":
      return reader.string();
    case "bool":
      return reader.bool();
    case "int32":
      return reader.int32();
    case "int64":
      return reader.int64();
    case "double":
      return reader.double();
    case "bytes":
      return reader.view().toString("base64");
    case "message":
      return readNested(reader, field, {});
    default:
      throw new ProtoError(`${field.name} has no JSON form`);
  }
}
