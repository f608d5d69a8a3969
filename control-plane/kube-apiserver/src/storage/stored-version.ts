import type { KeyValue, Revision } from "@coracle/etcd";
import { isObject, sharedSet, textOfFieldSet, type Draft, type FieldSet } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { StoredObject } from "./object-storage.ts";
import { packJson, unpackJson, type PackedJson } from "./packed-json.ts";
import { ParsedObjects, type Parsed } from "./parsed-objects.ts";

const OUR_HEAD = /^\{"(?:kind|apiVersion)":"[^"\\]*","(?:kind|apiVersion)":"[^"\\]*",$/;
const METADATA = '"metadata":{';
const HEAD_LIMIT = 400;
/** Of all servers of the process: what is newest of its object, and what was. */
const held = new ParsedObjects(40 * 1024 * 1024);
const heldPast = new ParsedObjects(4 * 1024 * 1024);

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
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === "object" && item !== null) deepFreeze(item as unknown);
  } else {
    for (const key in value) {
      const member: unknown = value[key];
      if (typeof member === "object" && member !== null) deepFreeze(member);
    }
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
 * A version whose parsed object and JSON bytes are each made on first demand. It is held in whatever form it came in, until too many
 * are held so; then it is packed. At least one of the forms is always there, so the others can be let go of.
 */
export class StoredVersion implements StoredObject, Parsed {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: Revision;
  readonly weight: number;
  heldBy: ParsedObjects | undefined = undefined;
  #object: ApiObject | undefined;
  /** Bytes of the store. */
  #value: Buffer | undefined;
  #json: Buffer | undefined;
  #packed: PackedJson | undefined;
  #encoded: Map<string, Buffer> | undefined;
  #isPast: boolean;

  /** `object` may be absent where there is `json`, `value` where that can be made of the object. Without weight it is never let go of. */
  constructor(
    at: { readonly key: string; readonly namespace: string; readonly name: string },
    revision: Revision,
    forms: {
      readonly weight: number;
      readonly object: ApiObject | undefined;
      readonly value: Buffer | undefined;
      readonly json: Buffer | undefined;
      readonly isPast?: boolean;
    },
  ) {
    this.key = at.key;
    this.namespace = at.namespace;
    this.name = at.name;
    this.revision = revision;
    this.weight = forms.weight;
    this.#object = forms.object;
    this.#value = forms.value;
    this.#json = forms.json;
    this.#packed = undefined;
    this.#encoded = undefined;
    this.#isPast = forms.isPast ?? false;
    this.#hold();
  }

  #hold(): void {
    if (this.weight > 0) (this.#isPast ? heldPast : held).add(this);
  }

  get object(): ApiObject {
    return this.#object ?? this.#parse();
  }

  #parse(): ApiObject {
    const draft = JSON.parse(this.json.toString("utf8")) as ApiDraft;
    shareFieldSets(draft);
    const object = deepFreeze(draft) as ApiObject;
    this.#object = object;
    this.#hold();
    return object;
  }

  get json(): Buffer {
    if (this.#json !== undefined) return this.#json;
    const json = this.#makeJson();
    this.#hold();
    return json;
  }

  #makeJson(): Buffer {
    const json =
      (this.#packed && unpackJson(this.#packed)) ??
      (this.#value && spliceResourceVersion(this.#value, this.revision)) ??
      Buffer.from(JSON.stringify(this.#object));
    this.#json = json;
    this.#value = undefined;
    return json;
  }

  encoded(encoding: string, make: (stored: StoredObject) => Buffer): Buffer {
    const known = this.#encoded?.get(encoding);
    if (known !== undefined) return known;
    const made = make(this);
    this.#encoded ??= new Map();
    this.#encoded.set(encoding, made);
    this.#hold();
    return made;
  }

  /** The last state of a deleted object: same content, the deletion's resourceVersion. */
  asDeletedAt(revision: Revision): StoredVersion {
    const { object } = this;
    const metadata = Object.freeze({ ...object.metadata, resourceVersion: String(revision) });
    const last = Object.freeze({ ...object, metadata }) as ApiObject;
    const json = replaceResourceVersion(this.json, this.revision, revision);
    const weight = json === undefined ? 0 : json.length;
    return new StoredVersion(this, revision, { weight, object: last, value: undefined, json, isPast: true });
  }

  /** A newer version took its place: it is hardly read any more. */
  shrink(): void {
    this.#isPast = true;
    if (this.weight === 0) return;
    if (this.#packed !== undefined) {
      this.heldBy?.delete(this);
      this.release();
      return;
    }
    if (this.#json === undefined) this.#makeJson();
    this.#object = undefined;
    this.#encoded = undefined;
    this.#hold();
  }

  /** Lets go of what can be made again. */
  release(): void {
    this.#packed ??= this.#pack(this.#json ?? this.#makeJson());
    if (this.#packed !== undefined) this.#json = undefined;
    this.#object = undefined;
    this.#encoded = undefined;
  }

  #pack(json: Buffer): PackedJson | undefined {
    // What comes before the metadata says of what kind it is.
    return packJson(json.toString("latin1", 0, Math.max(0, json.indexOf(METADATA))), json);
  }
}

/** Completes a draft that is stored at `revision` and freezes it: from now on it is shared. */
export function versionFromDraft(key: string, draft: ApiDraft, value: Buffer, revision: Revision): StoredVersion {
  return versionOf(key, draft, revision, value);
}

function versionOf(key: string, draft: ApiDraft, revision: Revision, value: Buffer | undefined): StoredVersion {
  draft.metadata.resourceVersion = String(revision);
  const object = deepFreeze(draft) as ApiObject;
  const at = { key, namespace: namespaceOf(object), name: nameOf(object) };
  return new StoredVersion(at, revision, { weight: value?.length ?? 0, object, value, json: undefined });
}

/** A version read from the store. */
export function versionFromValue(key: string, value: Buffer, revision: Revision, read: ValueReader): StoredVersion {
  const draft = read(value);
  shareFieldSets(draft);
  const hadVersion = draft.metadata.resourceVersion !== undefined;
  return versionOf(key, draft, revision, hadVersion ? undefined : value);
}

const CLOSING_BRACE = 0x7d;
const A_VERSION = '"resourceVersion":"';

/**
 * The same for one of very many, below `prefix`: what looks as `serialiseForStore` writes it is read when somebody asks for it; the
 * rest at once, so that what cannot be read is found out.
 */
export function versionAtRest(
  { key, value, modRevision: revision }: Pick<KeyValue, "key" | "value" | "modRevision">,
  prefix: string,
  read: ValueReader,
): StoredVersion {
  const place = key.slice(prefix.length + 1).split("/");
  const name = place.pop() as string;
  const isOurs = value.at(-1) === CLOSING_BRACE && place.length <= 1 && !value.includes(A_VERSION);
  const json = isOurs ? spliceResourceVersion(value, revision) : undefined;
  if (json === undefined) return versionFromValue(key, value, revision, read);
  const at = { key, namespace: place[0] ?? "", name };
  return new StoredVersion(at, revision, { weight: json.length, object: undefined, value: undefined, json });
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
