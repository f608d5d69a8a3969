import { createHash } from "node:crypto";
import { ProtoReader, ProtoWriter } from "@coracle/api";

/** How the plaintext of `keySource` gives the key. */
export const KEY_ITSELF = 0;
export const SEED = 1;

const MAX_SOURCE_BYTES = 1024;
const MAX_KEY_ID_BYTES = 1024;
const MAX_ANNOTATION_BYTES = 32 * 1024;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

export type Annotations = Readonly<Record<string, Buffer>>;

/** What a KMS has encrypted: enough to ask it for the key again. */
export interface KeySource {
  readonly keyId: string;
  readonly source: Buffer;
  readonly sourceType: number;
  readonly annotations: Annotations;
}

/** An encrypted value as it lies in the store: upstream's `v2.EncryptedObject`. */
export interface EncryptedObject extends KeySource {
  readonly data: Buffer;
}

/** Writes `map<string, bytes>` as the field `field`, in the order of its keys. */
export function writeAnnotations(writer: ProtoWriter, field: number, annotations: Annotations): void {
  for (const name of Object.keys(annotations).sort()) {
    writer.uint32((field << 3) | 2);
    const start = writer.open();
    writer.uint32(10);
    writer.string(name);
    writer.uint32(18);
    writer.view(annotations[name]!);
    writer.close(start);
  }
}

/** Reads an entry of `map<string, bytes>`. */
export function readAnnotation(bytes: Buffer, into: Record<string, Buffer>): void {
  let name = "";
  let value: Buffer = Buffer.alloc(0);
  forEachField(bytes, {
    1: (reader) => void (name = reader.string()),
    2: (reader) => void (value = Buffer.from(reader.view())),
  });
  Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
}

/** Reads a message; fields that are not named are skipped. Throws ProtoError. */
export function forEachField(bytes: Uint8Array, fields: Readonly<Record<number, (reader: ProtoReader) => void>>): void {
  const reader = new ProtoReader(bytes);
  const types: Readonly<Record<number, number>> = { 0: 0, 2: 2 };
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    const read = fields[tag >>> 3];
    if (read === undefined || types[tag & 7] === undefined) reader.skip(tag & 7);
    else read(reader);
  }
}

const field = (writer: ProtoWriter, number: number, value: Buffer | string): void => {
  if (value.length === 0) return;
  writer.uint32((number << 3) | 2);
  if (typeof value === "string") writer.string(value);
  else writer.view(value);
};

export function encodeEncryptedObject(object: EncryptedObject): Buffer {
  const writer = new ProtoWriter();
  field(writer, 1, object.data);
  field(writer, 2, object.keyId);
  field(writer, 3, object.source);
  writeAnnotations(writer, 4, object.annotations);
  if (object.sourceType !== KEY_ITSELF) {
    writer.uint32(40);
    writer.int32(object.sourceType);
  }
  return writer.finish();
}

/** Throws for bytes that are no such message, and for messages that no KMS would have made. */
export function decodeEncryptedObject(bytes: Buffer): EncryptedObject {
  let [data, keyId, source, sourceType] = [Buffer.alloc(0) as Buffer, "", Buffer.alloc(0) as Buffer, KEY_ITSELF];
  const annotations: Record<string, Buffer> = {};
  forEachField(bytes, {
    1: (reader) => void (data = reader.view()),
    2: (reader) => void (keyId = reader.string()),
    3: (reader) => void (source = Buffer.from(reader.view())),
    4: (reader) => readAnnotation(reader.view(), annotations),
    5: (reader) => void (sourceType = reader.int32()),
  });
  if (sourceType !== KEY_ITSELF && sourceType !== SEED) {
    throw new Error(`unknown encryptedDEKSourceType: ${sourceType}`);
  }
  if (data.length === 0) throw new Error("encrypted data is empty");
  const object = { data, keyId, source, sourceType, annotations };
  checkKeySource(object);
  return object;
}

/** Throws when a KMS gave something out of bounds. */
export function checkKeySource({ source, keyId, annotations }: KeySource): void {
  const badSource = "failed to validate encrypted DEK source";
  if (source.length === 0) throw new Error(`${badSource}: encrypted DEK source is empty`);
  if (source.length > MAX_SOURCE_BYTES) {
    const why = `encrypted DEK source is ${source.length} bytes, which exceeds the max size of ${MAX_SOURCE_BYTES}`;
    throw new Error(`${badSource}: ${why}`);
  }
  const keyIdFault = keyIdProblem(keyId);
  if (keyIdFault !== undefined) throw new Error(`failed to validate key id: ${keyIdFault}`);
  let size = 0;
  for (const [name, value] of Object.entries(annotations)) {
    size += Buffer.byteLength(name) + value.length;
    if (!isQualifiedDomain(name)) {
      const why = `annotations: Invalid value: ${JSON.stringify(name)}: should be a domain with at least two segments separated by dots`;
      throw new Error(`failed to validate annotations: ${why}`);
    }
  }
  if (size > MAX_ANNOTATION_BYTES) {
    const why = `total size of annotations is ${size}, which exceeds the max size of ${MAX_ANNOTATION_BYTES}`;
    throw new Error(`failed to validate annotations: ${why}`);
  }
}

const isQualifiedDomain = (name: string): boolean => {
  const labels = name.replace(/\.$/, "").split(".");
  return labels.length > 1 && labels.every((label) => label.length <= 63 && DNS_LABEL.test(label));
};

/** What is wrong with the name of a key; undefined when nothing. */
export function keyIdProblem(keyId: string): string | undefined {
  const size = Buffer.byteLength(keyId);
  if (size === 0) return "keyID is empty";
  if (size > MAX_KEY_ID_BYTES) return `keyID is ${size} bytes, which exceeds the max size of ${MAX_KEY_ID_BYTES}`;
  return undefined;
}

/** Equal for sources of the same key. */
export function sourceFingerprint(source: KeySource): string {
  return createHash("sha256")
    .update(encodeEncryptedObject({ ...source, data: Buffer.alloc(0) }))
    .digest("base64");
}
