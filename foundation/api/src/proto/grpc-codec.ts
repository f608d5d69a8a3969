import { openLineTable } from "../tables.ts";
import {
  createMessageSet,
  type Field,
  type FieldKind,
  type Message,
  type MessageSet,
  type ScalarKind,
} from "./message.ts";
import { ProtoError, ProtoReader, ProtoWriter } from "./wire.ts";

/** One method, in the form that `@grpc/grpc-js` takes in service definitions. */
export interface GrpcMethod {
  /** `/runtime.v1.RuntimeService/Version`. */
  readonly path: string;
  readonly originalName: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: object) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => object;
  readonly responseSerialize: (value: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

/** All methods of a service by name: a `ServiceDefinition` of `@grpc/grpc-js`. */
export type GrpcService = Readonly<Record<string, GrpcMethod>>;

/**
 * Encodes and decodes the messages of one wire contract; the members' types are generated beside it
 * (`@coracle/api/cri`, `/csi`, `/etcd`, `/kubelet-grpc`).
 *
 * Members have camelCase names. What is not on the wire is absent after decoding (proto3 does not send zero values:
 * read `value ?? 0`), except that single enums always have a value. Enums are their names; numbers this table does
 * not know stay numbers. Bytes are Buffers, which after decoding share memory with the input.
 */
export interface GrpcCodec<Messages = Readonly<Record<string, object>>> {
  encode<Name extends keyof Messages & string>(message: Name, value: Messages[Name]): Buffer;
  /** Throws ProtoError for bytes that are not such a message. */
  decode<Name extends keyof Messages & string>(message: Name, bytes: Uint8Array): Messages[Name];
  /** Throws for a service the contract does not have. */
  service(name: string): GrpcService;
}

interface Form {
  readonly int64: "number" | "bigint";
}

const DEEPEST = 100;

/** A codec over one of the gRPC tables. */
export function createGrpcCodec<Messages>(
  tableName: "cri" | "csi" | "etcd" | "kubelet-grpc",
  form: Form,
): GrpcCodec<Messages> {
  const table = openLineTable(tableName);
  const messages = createMessageSet(table, "proto3");
  const writer = new ProtoWriter();

  const encode = (name: string, value: object): Buffer => {
    try {
      writeMessage(writer, known(messages, name), value as Members);
      return writer.finish();
    } finally {
      writer.reset();
    }
  };
  const decode = (name: string, bytes: Uint8Array): object =>
    readMessage(new ProtoReader(bytes), known(messages, name), form, 0);

  return {
    encode: (name, value) => encode(name, value as object),
    decode: (name, bytes) => decode(name, bytes) as Messages[typeof name],
    service(name) {
      const rows = table.entry("services", name) as
        | Record<string, readonly [string, string, string, string]>
        | undefined;
      if (rows === undefined) throw new Error(`the table ${tableName} has no service ${name}`);
      const service: Record<string, GrpcMethod> = {};
      for (const [method, [request, requestMode, response, responseMode]] of Object.entries(rows)) {
        service[method] = {
          path: `/${name}/${method}`,
          originalName: method,
          requestStream: requestMode === "stream",
          responseStream: responseMode === "stream",
          requestSerialize: (value) => encode(request, value),
          requestDeserialize: (bytes) => decode(request, bytes),
          responseSerialize: (value) => encode(response, value),
          responseDeserialize: (bytes) => decode(response, bytes),
        };
      }
      return service;
    },
  };
}

type Members = { [name: string]: unknown };

function known(messages: MessageSet, name: string): Message {
  const message = messages.find(name);
  if (message === undefined) throw new Error(`unknown message ${name}`);
  return message;
}

function writeMessage(writer: ProtoWriter, message: Message, value: Members): void {
  for (const field of message.fields) {
    const member = value[field.name];
    if (member === undefined || member === null) continue;
    if (field.mapKey !== undefined) writeMap(writer, field, field.mapKey, member as Members);
    else if (field.isRepeated) writeRepeated(writer, field, member as readonly unknown[]);
    else if (field.hasPresence || !isZero(field, member)) {
      writer.uint32(field.tag);
      writeValue(writer, field, member);
    }
  }
}

function isZero(field: Field, value: unknown): boolean {
  if (field.kind === "message") return false;
  if (field.kind === "bytes") return (value as Uint8Array).length === 0;
  return (
    value === 0 ||
    value === "" ||
    value === false ||
    value === 0n ||
    (field.kind === "enum" && value === field.enumeration?.zero)
  );
}

function writeRepeated(writer: ProtoWriter, field: Field, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (!field.isPacked) {
    for (const value of values) {
      writer.uint32(field.tag);
      writeValue(writer, field, value);
    }
    return;
  }
  writer.uint32(field.tag);
  const start = writer.open();
  for (const value of values) writeValue(writer, field, value);
  writer.close(start);
}

function writeMap(writer: ProtoWriter, field: Field, keyKind: ScalarKind, entries: Members): void {
  for (const key of Object.keys(entries)) {
    writer.uint32(field.tag);
    const start = writer.open();
    writer.uint32(keyKind === "string" ? 10 : 8);
    writeScalar(writer, keyKind, keyKind === "string" ? key : keyKind === "bool" ? key === "true" : BigInt(key));
    writer.uint32(16 | field.wireType);
    writeValue(writer, field, entries[key]);
    writer.close(start);
  }
}

function writeValue(writer: ProtoWriter, field: Field, value: unknown): void {
  if (field.kind === "message") {
    const start = writer.open();
    writeMessage(writer, field.message as Message, value as Members);
    writer.close(start);
  } else if (field.kind === "enum") {
    const number = typeof value === "number" ? value : field.enumeration?.byName[value as string];
    if (number === undefined) throw new ProtoError(`${field.name}: unknown enum value ${String(value)}`);
    writer.int32(number);
  } else {
    writeScalar(writer, field.kind, value);
  }
}

function writeScalar(writer: ProtoWriter, kind: ScalarKind, value: unknown): void {
  switch (kind) {
    case "string":
      return writer.string(value as string);
    case "bool":
      return writer.bool(value as boolean);
    case "int32":
    case "enum":
      return writer.int32(Number(value));
    case "uint32":
      return writer.uint32(Number(value) >>> 0);
    case "int64":
    case "uint64":
      return writer.int64(value as number | bigint);
    case "double":
      return writer.double(value as number);
    case "float":
      return writer.float(value as number);
    case "bytes":
      return writer.view(value as Uint8Array);
  }
}

function readMessage(reader: ProtoReader, message: Message, form: Form, depth: number): Members {
  if (depth > DEEPEST) throw new ProtoError("proto: messages are nested too deeply");
  const value: Members = {};
  for (const field of message.enums) value[field.name] = field.enumeration?.zero ?? 0;
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    const wireType = tag & 7;
    const field = message.byNumber.get(tag >>> 3);
    if (field === undefined) reader.skip(wireType);
    else if (field.mapKey !== undefined) {
      expectWireType(field, wireType, 2);
      readMapEntry(reader, field, field.mapKey, ((value[field.name] as Members) ??= {}), form, depth);
    } else if (field.isRepeated) {
      readRepeated(reader, field, ((value[field.name] as unknown[]) ??= []), wireType, form, depth);
    } else {
      expectWireType(field, wireType, field.wireType);
      value[field.name] = readValue(reader, field, form, depth);
    }
  }
  return value;
}

function expectWireType(field: Field, actual: number, expected: number): void {
  if (actual !== expected) throw new ProtoError(`proto: wrong wireType = ${actual} for field ${field.name}`);
}

function readRepeated(
  reader: ProtoReader,
  field: Field,
  into: unknown[],
  wireType: number,
  form: Form,
  depth: number,
): void {
  if (wireType === 2 && field.wireType !== 2) {
    const outer = narrow(reader);
    while (reader.position < reader.end) into.push(readValue(reader, field, form, depth));
    reader.end = outer;
    return;
  }
  expectWireType(field, wireType, field.wireType);
  into.push(readValue(reader, field, form, depth));
}

/** Limits the reader to the delimited part that starts here; returns the end to restore. */
function narrow(reader: ProtoReader): number {
  const outer = reader.end;
  const length = reader.length();
  reader.end = reader.position + length;
  return outer;
}

const ZERO: Readonly<Record<FieldKind, unknown>> = {
  string: "",
  bool: false,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  double: 0,
  float: 0,
  bytes: undefined,
  enum: 0,
  message: undefined,
};

function readMapEntry(
  reader: ProtoReader,
  field: Field,
  keyKind: ScalarKind,
  into: Members,
  form: Form,
  depth: number,
): void {
  const outer = narrow(reader);
  let key = String(ZERO[keyKind]);
  let value: unknown;
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = String(readScalar(reader, keyKind, form));
    else if (tag >>> 3 === 2) {
      expectWireType(field, tag & 7, field.wireType);
      value = readValue(reader, field, form, depth);
    } else reader.skip(tag & 7);
  }
  reader.end = outer;
  value ??= field.kind === "message" ? {} : field.kind === "bytes" ? Buffer.alloc(0) : ZERO[field.kind];
  if (key === "__proto__") {
    Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
  } else into[key] = value;
}

function readValue(reader: ProtoReader, field: Field, form: Form, depth: number): unknown {
  if (field.kind === "message") {
    const outer = narrow(reader);
    const value = readMessage(reader, field.message as Message, form, depth + 1);
    reader.end = outer;
    return value;
  }
  if (field.kind === "enum") {
    const number = reader.int32();
    return field.enumeration?.byNumber.get(number) ?? number;
  }
  return readScalar(reader, field.kind, form);
}

function readScalar(reader: ProtoReader, kind: ScalarKind, form: Form): unknown {
  switch (kind) {
    case "string":
      return reader.string();
    case "bool":
      return reader.bool();
    case "int32":
    case "enum":
      return reader.int32();
    case "uint32":
      return reader.uint32();
    case "int64":
      return form.int64 === "bigint" ? reader.bigInt64() : reader.int64();
    case "uint64":
      return form.int64 === "bigint" ? reader.bigUint64() : reader.uint64();
    case "double":
      return reader.double();
    case "float":
      return reader.float();
    case "bytes":
      return reader.view();
  }
}
