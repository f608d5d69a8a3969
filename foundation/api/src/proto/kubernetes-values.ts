import { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime } from "../time/time.ts";
import { ProtoError, type ProtoReader, type ProtoWriter } from "./wire.ts";

/** A message whose JSON is not an object of its fields. */
export interface SpecialMessage {
  /** Writes the message's content, without its length. */
  write(writer: ProtoWriter, value: unknown, nested: NestedCodec): void;
  /** Reads the message's content up to the reader's end; undefined for a zero that JSON leaves out. */
  read(reader: ProtoReader, nested: NestedCodec): unknown;
}

/** What special messages need of the codec: messages inside them. */
export interface NestedCodec {
  write(writer: ProtoWriter, message: string, value: unknown): void;
  read(reader: ProtoReader, message: string): unknown;
  /** A whole encoded object inside bytes. */
  readEmbedded(bytes: Buffer): unknown;
}

/** Calls `visit` for each field; what it does not consume must be skipped by it. */
function eachField(reader: ProtoReader, visit: (number: number, wireType: number) => void): void {
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    visit(tag >>> 3, tag & 7);
  }
}

function expectType(actual: number, expected: number): void {
  if (actual !== expected) throw new ProtoError(`proto: wrong wireType = ${actual}`);
}

function readRaw(reader: ProtoReader): Buffer | undefined {
  let raw: Buffer | undefined;
  eachField(reader, (number, wireType) => {
    if (number !== 1) return reader.skip(wireType);
    expectType(wireType, 2);
    raw = reader.view();
  });
  return raw;
}

function parse(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString("utf8")) as unknown;
  } catch (error) {
    throw new ProtoError("the embedded value is not JSON", { cause: error });
  }
}

/** Free-form JSON in bytes: FieldsV1, RawExtension, the JSON of CustomResourceDefinitions. */
const json: SpecialMessage = {
  write(writer, value) {
    writer.uint32(10);
    writer.view(Buffer.from(JSON.stringify(value)));
  },
  read(reader, nested) {
    const raw = readRaw(reader);
    if (raw === undefined || raw.length === 0) return undefined;
    return raw.length >= 4 && raw.readUInt32BE(0) === 0x6b387300 ? nested.readEmbedded(raw) : parse(raw);
  },
};

const quantity: SpecialMessage = {
  write(writer, value) {
    writer.uint32(10);
    writer.string(String(value));
  },
  read(reader) {
    return readRaw(reader)?.toString("utf8") ?? "0";
  },
};

function time(format: (time: { seconds: number; nanos: number }) => string): SpecialMessage {
  return {
    write(writer, value) {
      const parsed = parseTime(String(value));
      if (parsed === undefined) throw new ProtoError(`${JSON.stringify(value)} is not a time`);
      writer.uint32(8);
      writer.int64(parsed.seconds);
      writer.uint32(16);
      writer.int32(parsed.nanos);
    },
    read(reader) {
      if (reader.position === reader.end) return undefined;
      const value = { seconds: 0, nanos: 0 };
      eachField(reader, (number, wireType) => {
        if (number > 2) return reader.skip(wireType);
        expectType(wireType, 0);
        if (number === 1) value.seconds = reader.int64();
        else value.nanos = reader.int32();
      });
      // The years that RFC 3339 can write.
      if (value.seconds < -62167219200 || value.seconds > 253402300799) throw new ProtoError("a time is out of range");
      if (value.nanos < 0 || value.nanos > 999999999) throw new ProtoError("a time is out of range");
      return format(value);
    },
  };
}

const duration: SpecialMessage = {
  write(writer, value) {
    const nanos = parseDuration(String(value));
    if (nanos === undefined) throw new ProtoError(`${JSON.stringify(value)} is not a duration`);
    writer.uint32(8);
    writer.int64(nanos);
  },
  read(reader) {
    let nanos = 0n;
    eachField(reader, (number, wireType) => {
      if (number !== 1) return reader.skip(wireType);
      expectType(wireType, 0);
      nanos = reader.bigInt64();
    });
    return formatDuration(nanos);
  },
};

const intOrString: SpecialMessage = {
  write(writer, value) {
    const isText = typeof value === "string";
    writer.uint32(8);
    writer.uint32(isText ? 1 : 0);
    writer.uint32(16);
    writer.int32(isText ? 0 : Number(value));
    writer.uint32(26);
    writer.string(isText ? value : "");
  },
  read(reader) {
    let type = 0;
    let number_ = 0;
    let text = "";
    eachField(reader, (number, wireType) => {
      if (number > 3) return reader.skip(wireType);
      expectType(wireType, number === 3 ? 2 : 0);
      if (number === 1) type = reader.int64();
      else if (number === 2) number_ = reader.int32();
      else text = reader.string();
    });
    return type === 1 ? text : number_;
  },
};

/** A list of texts in a message of its own: values of maps. */
const texts: SpecialMessage = {
  write(writer, value) {
    for (const item of value as readonly string[]) {
      writer.uint32(10);
      writer.string(item);
    }
  },
  read(reader) {
    const items: string[] = [];
    eachField(reader, (number, wireType) => {
      if (number !== 1) return reader.skip(wireType);
      expectType(wireType, 2);
      items.push(reader.string());
    });
    return items;
  },
};

/** A JSON schema or something else: field 1 or 2 holds it, `isFlagged` means that field 1 says which. */
function schemaOr(schema: string, other: "array" | "boolean" | "strings"): SpecialMessage {
  const schemaField = other === "boolean" ? 2 : 1;
  const nestedValue = (writer: ProtoWriter, number: number, value: unknown, nested: NestedCodec): void => {
    writer.uint32((number << 3) | 2);
    const start = writer.open();
    nested.write(writer, schema, value);
    writer.close(start);
  };
  return {
    write(writer, value, nested) {
      if (other === "boolean") {
        writer.uint32(8);
        writer.bool(value !== false);
      }
      if (Array.isArray(value)) {
        for (const item of value as unknown[]) {
          if (other === "array") nestedValue(writer, 2, item, nested);
          else {
            writer.uint32(18);
            writer.string(String(item));
          }
        }
      } else if (typeof value === "object" && value !== null) nestedValue(writer, schemaField, value, nested);
    },
    read(reader, nested) {
      let allows = false;
      let single: unknown;
      const list: unknown[] = [];
      eachField(reader, (number, wireType) => {
        if (number > 2) return reader.skip(wireType);
        if (number === 1 && other === "boolean") {
          expectType(wireType, 0);
          allows = reader.bool();
          return;
        }
        expectType(wireType, 2);
        if (number === 2 && other === "strings") {
          list.push(reader.string());
          return;
        }
        const outer = reader.end;
        const length = reader.length();
        reader.end = reader.position + length;
        const value = nested.read(reader, schema);
        reader.end = outer;
        if (number === schemaField) single = value;
        else list.push(value);
      });
      if (single !== undefined) return single;
      return other === "boolean" ? allows : list;
    },
  };
}

const MACHINERY = "k8s.io.apimachinery.pkg";
const EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions";

/** The special messages by name. */
export const SPECIAL_MESSAGES: ReadonlyMap<string, SpecialMessage> = new Map<string, SpecialMessage>([
  [`${MACHINERY}.api.resource.Quantity`, quantity],
  [`${MACHINERY}.util.intstr.IntOrString`, intOrString],
  [`${MACHINERY}.runtime.RawExtension`, json],
  [`${MACHINERY}.apis.meta.v1.FieldsV1`, json],
  [`${MACHINERY}.apis.meta.v1.Time`, time(({ seconds }) => formatTime(seconds))],
  [`${MACHINERY}.apis.meta.v1.MicroTime`, time(formatMicroTime)],
  [`${MACHINERY}.apis.meta.v1.Duration`, duration],
  [`${MACHINERY}.apis.meta.v1.Verbs`, texts],
  ...["v1", "v1beta1"].flatMap((version): [string, SpecialMessage][] => {
    const schema = `${EXTENSIONS}.${version}.JSONSchemaProps`;
    return [
      [`${EXTENSIONS}.${version}.JSON`, json],
      [`${schema}OrArray`, schemaOr(schema, "array")],
      [`${schema}OrBool`, schemaOr(schema, "boolean")],
      [`${schema}OrStringArray`, schemaOr(schema, "strings")],
    ];
  }),
  ...[
    "authentication.v1",
    "authentication.v1beta1",
    "authorization.v1",
    "authorization.v1beta1",
    "certificates.v1",
    "certificates.v1beta1",
  ].map((group): [string, SpecialMessage] => [`k8s.io.api.${group}.ExtraValue`, texts]),
]);
