import type { Revision } from "@coracle/etcd";
import { isObject, sharedSet, textOfFieldSet, type Draft, type FieldSet } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { StoredObject } from "./object-storage.ts";
import { ParsedObjects } from "./parsed-objects.ts";

const OUR_HEAD = /^\{"(?:kind|apiVersion)":"[^"\\]*","(?:kind|apiVersion)":"[^"\\]*",$/;
const METADATA = '"metadata":{';
const HEAD_LIMIT = 400;
/** Of all servers of the process. */
const held = new ParsedObjects(48 * 1024 * 1024);

/** The bytes that go into the store: JSON without resourceVersion, `kind`, `apiVersion` and `metadata` first. */
export function serialiseForStore(draft: ApiDraft): Buffer {
  const { kind, apiVersion, metadata, ...rest } = draft;
  const { resourceVersion: _resourceVersion, managedFields, ...meta } = metadata;
  const metaText = JSON.stringify(meta);
  if (!Array.isArray(managedFields) || metaText === "{}") {
    const whole = managedFields === undefined ? meta : { ...meta, managedFields };
    return Buffer.from(JSON.stringify({ kind, apiVersion, metadata: whole, ...rest }));
  }
  // The object itself holds the sets in the order in which they are written: all encodings of it say the same.
  const shared = (managedFields as Draft[]).map((entry) => withSharedSet(entry));
  metadata.managedFields = shared;
  const owners = shared.map((entry) => textOfOwner(entry)).join(",");
  const head = JSON.stringify({ kind, apiVersion }).slice(0, -1);
  const tail = JSON.stringify(rest);
  const text = `${head},"metadata":${metaText.slice(0, -1)},"managedFields":[${owners}]}`;
  return Buffer.from(tail === "{}" ? `${text}}` : `${text},${tail.slice(1)}`);
}

function withSharedSet(owner: Draft): Draft {
  if (!isObject(owner["fieldsV1"])) return owner;
  const set = sharedSet(owner["fieldsV1"] as FieldSet);
  return set === owner["fieldsV1"] ? owner : { ...owner, fieldsV1: set };
}

/** Whose fields are many and mostly those of another object: their JSON is made once. */
function textOfOwner(owner: Draft): string {
  const { fieldsV1, ...rest } = owner;
  if (!isObject(fieldsV1)) return JSON.stringify(owner);
  return `${JSON.stringify(rest).slice(0, -1)},"fieldsV1":${textOfFieldSet(fieldsV1 as FieldSet)}}`;
}

/** Freezes JSON data all the way down. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) {
    if (typeof member === "object" && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}

/** Undefined when the value is not in the form that `serialiseForStore` writes. */
function spliceResourceVersion(value: Buffer, revision: Revision): Buffer | undefined {
  const head = value.toString("latin1", 0, Math.min(value.length, HEAD_LIMIT));
  const at = head.indexOf(METADATA);
  if (at === -1 || !OUR_HEAD.test(head.slice(0, at))) return undefined;
  const cut = at + METADATA.length;
  const isEmpty = value[cut] === 0x7d;
  const insert = `"resourceVersion":"${revision}"${isEmpty ? "" : ","}`;
  const out = Buffer.allocUnsafeSlow(value.length + insert.length);
  value.copy(out, 0, 0, cut);
  out.write(insert, cut, "latin1");
  value.copy(out, cut + insert.length, cut);
  return out;
}

/** Undefined when the version is not where `spliceResourceVersion` writes it. */
function replaceResourceVersion(json: Buffer, from: Revision, to: Revision): Buffer | undefined {
  const old = `${METADATA}"resourceVersion":"${from}"`;
  const at = json.toString("latin1", 0, Math.min(json.length, HEAD_LIMIT)).indexOf(old);
  if (at === -1 || !OUR_HEAD.test(json.toString("latin1", 0, at))) return undefined;
  const now = `${METADATA}"resourceVersion":"${to}"`;
  return Buffer.concat([json.subarray(0, at), Buffer.from(now), json.subarray(at + old.length)]);
}

/** Parses store bytes into an object without resourceVersion; may throw. */
export type ValueReader = (value: Buffer) => ApiDraft;

/** Reads our JSON values. */
export const readJsonValue: ValueReader = (value) => JSON.parse(value.toString("utf8")) as ApiDraft;

/**
 * A version whose parsed object and JSON bytes are each made on first demand from the bytes of the store. At least
 * one of the forms is always there, so the others can be let go of.
 */
export class StoredVersion implements StoredObject {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: Revision;
  /** Bytes of the store. */
  readonly weight: number;
  #object: ApiObject | undefined;
  #value: Buffer | undefined;
  #json: Buffer | undefined;
  #encoded: Map<string, Buffer> | undefined;
  #isPast = false;

  /** `object` may be absent where it can be parsed from the JSON that `value` makes. */
  constructor(
    key: string,
    namespace: string,
    name: string,
    revision: Revision,
    value: Buffer,
    object: ApiObject | undefined,
  ) {
    this.key = key;
    this.namespace = namespace;
    this.name = name;
    this.revision = revision;
    this.weight = value.length;
    this.#value = value;
    this.#object = object;
    if (value.length > 0 && object !== undefined) held.add(this);
  }

  /** A version of which there is only its JSON yet. */
  static atRest(key: string, namespace: string, name: string, revision: Revision, json: Buffer): StoredVersion {
    const version = new StoredVersion(key, namespace, name, revision, json, undefined);
    version.#json = json;
    version.#value = undefined;
    return version;
  }

  get object(): ApiObject {
    return this.#object ?? this.#parse();
  }

  #parse(): ApiObject {
    const draft = JSON.parse(this.json.toString("utf8")) as ApiDraft;
    shareFieldSets(draft);
    const object = deepFreeze(draft) as ApiObject;
    this.#object = object;
    if (this.weight > 0 && !this.#isPast) held.add(this);
    return object;
  }

  get json(): Buffer {
    if (this.#json !== undefined) return this.#json;
    const spliced = this.#value === undefined ? undefined : spliceResourceVersion(this.#value, this.revision);
    this.#json = spliced ?? Buffer.from(JSON.stringify(this.#object));
    this.#value = undefined;
    return this.#json;
  }

  encoded(encoding: string, make: (stored: StoredObject) => Buffer): Buffer {
    this.#encoded ??= new Map();
    const known = this.#encoded.get(encoding);
    if (known !== undefined) return known;
    const made = make(this);
    this.#encoded.set(encoding, made);
    return made;
  }

  /** The last state of a deleted object: same content, the deletion's resourceVersion. */
  asDeletedAt(revision: Revision): StoredVersion {
    const { object } = this;
    const metadata = Object.freeze({ ...object.metadata, resourceVersion: String(revision) });
    const last = Object.freeze({ ...object, metadata }) as ApiObject;
    const deleted = new StoredVersion(this.key, this.namespace, this.name, revision, EMPTY, last);
    deleted.#json = replaceResourceVersion(this.json, this.revision, revision);
    return deleted;
  }

  /** Lets go of what can be made again; called when a newer version took its place. */
  shrink(): void {
    this.#isPast = true;
    held.delete(this);
    this.release();
  }

  /** Lets go of what can be made again. */
  release(): void {
    if (this.#json === undefined && this.#value === undefined) return;
    void this.json;
    this.#object = undefined;
    this.#encoded = undefined;
  }
}

const EMPTY = Buffer.alloc(0);

/** Completes a draft that is stored at `revision` and freezes it: from now on it is shared. */
export function versionFromDraft(key: string, draft: ApiDraft, value: Buffer, revision: Revision): StoredVersion {
  draft.metadata.resourceVersion = String(revision);
  const object = deepFreeze(draft) as ApiObject;
  return new StoredVersion(key, namespaceOf(object), nameOf(object), revision, value, object);
}

/** A version read from the store. */
export function versionFromValue(key: string, value: Buffer, revision: Revision, read: ValueReader): StoredVersion {
  const draft = read(value);
  shareFieldSets(draft);
  const hadVersion = draft.metadata.resourceVersion !== undefined;
  return versionFromDraft(key, draft, hadVersion ? EMPTY : value, revision);
}

/**
 * The same for one of very many: it is read, so that what cannot be read is found out, but its object is let go of until
 * somebody asks for it.
 */
export function versionAtRest(key: string, value: Buffer, revision: Revision, read: ValueReader): StoredVersion {
  const draft = read(value);
  const hasVersion = draft.metadata.resourceVersion !== undefined;
  const json = hasVersion ? undefined : spliceResourceVersion(value, revision);
  if (json === undefined) return versionFromValue(key, value, revision, read);
  return StoredVersion.atRest(key, namespaceOf(draft as ApiObject), nameOf(draft as ApiObject), revision, json);
}

/** Objects that are alike share what says who owns their fields. */
function shareFieldSets({ metadata: { managedFields } }: ApiDraft): void {
  if (!Array.isArray(managedFields)) return;
  for (const entry of managedFields as { fieldsV1?: unknown }[]) {
    if (isObject(entry.fieldsV1)) entry.fieldsV1 = sharedSet(entry.fieldsV1 as FieldSet);
  }
}

const nameOf = (object: ApiObject): string => (object.metadata.name as string | undefined) ?? "";
const namespaceOf = (object: ApiObject): string => (object.metadata.namespace as string | undefined) ?? "";
