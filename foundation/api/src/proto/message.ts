import type { LineTable } from "../tables.ts";
import type { WireType } from "./wire.ts";

/** Field row of a proto table: number, name, type, label, extras. */
type FieldRow = readonly [number: number, name: string, type: string, label: string, extras?: FieldExtras];

interface FieldExtras {
  readonly json?: string;
  readonly inline?: boolean;
  readonly always?: boolean;
  readonly packed?: boolean;
}

export type ScalarKind =
  | "string"
  | "bool"
  | "int32"
  | "int64"
  | "uint32"
  | "uint64"
  | "double"
  | "float"
  | "bytes"
  | "enum";
export type FieldKind = ScalarKind | "message";

/** One field, ready for reading and writing. */
export interface Field {
  readonly number: number;
  readonly name: string;
  readonly kind: FieldKind;
  readonly wireType: WireType;
  readonly tag: number;
  readonly isRepeated: boolean;
  /** Scalars of this repeated field share one length-delimited block. */
  readonly isPacked: boolean;
  /** Set for maps; the field itself then describes the values. */
  readonly mapKey: ScalarKind | undefined;
  /** Written even when zero or absent. */
  readonly always: boolean;
  /** Zero is a value of its own: written when the member is present. */
  readonly hasPresence: boolean;
  /** The members of the nested message are members of the parent in JSON. */
  readonly inline: boolean;
  /** The nested message; looked up on first use, because messages may contain themselves. */
  readonly message: Message | undefined;
  readonly enumeration: Enumeration | undefined;
}

export interface Enumeration {
  readonly byName: Readonly<Record<string, number>>;
  readonly byNumber: ReadonlyMap<number, string>;
  readonly zero: string | undefined;
}

export interface Message {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
  /** What the codec keeps beside messages whose form is not that of their fields. */
  readonly special: unknown;
  /** Fields of enum type that are single: reading fills them with the zero value. */
  readonly enums: readonly Field[];
}

/** Finds messages of a table by full name; compiled on first use. */
export interface MessageSet {
  find(name: string): Message | undefined;
}

const WIRE: Readonly<Record<string, WireType>> = {
  string: 2,
  bytes: 2,
  bool: 0,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  double: 1,
  float: 5,
};

// The well-known types that tables refer to without listing them.
const WELL_KNOWN: Readonly<Record<string, readonly FieldRow[]>> = {
  "google.protobuf.Timestamp": [
    [1, "seconds", "int64", ""],
    [2, "nanos", "int32", ""],
  ],
  "google.protobuf.Int64Value": [[1, "value", "int64", ""]],
  "google.protobuf.BoolValue": [[1, "value", "bool", ""]],
};

/** Compiles the messages of a table as they are asked for. */
export function createMessageSet(
  table: LineTable,
  syntax: "proto2" | "proto3",
  specials?: ReadonlyMap<string, unknown>,
): MessageSet {
  const messages = new Map<string, Message>();
  const enumerations = new Map<string, Enumeration>();

  const enumerationOf = (name: string): Enumeration => {
    let found = enumerations.get(name);
    if (found === undefined) {
      const byName = table.entry("enums", name) as Record<string, number>;
      const byNumber = new Map<number, string>();
      for (const [text, value] of Object.entries(byName)) if (!byNumber.has(value)) byNumber.set(value, text);
      found = { byName, byNumber, zero: byNumber.get(0) };
      enumerations.set(name, found);
    }
    return found;
  };

  const fieldOf = (row: FieldRow, inOneof: boolean): Field => {
    const [number, name, type, label, extras] = row;
    const comma = label === "map" ? type.indexOf(",") : -1;
    const valueType = type.slice(comma + 1);
    const isEnum = table.has("enums", valueType);
    const kind: FieldKind = isEnum ? "enum" : valueType in WIRE ? (valueType as ScalarKind) : "message";
    const isProto2 = label === "optional" && extras?.always !== true;
    const isRepeated = label === "repeated";
    const wireType: WireType = kind === "message" ? 2 : (WIRE[kind] ?? 0);
    const isPacked = isRepeated && wireType !== 2 && (extras?.packed ?? syntax === "proto3");
    let message: Message | undefined;
    return {
      number,
      name: extras?.json !== undefined && extras.json !== "-" && extras.json !== "" ? extras.json : name,
      kind,
      wireType,
      tag: (number << 3) | (label === "map" || isPacked ? 2 : wireType),
      isRepeated,
      isPacked,
      mapKey: comma === -1 ? undefined : (type.slice(0, comma) as ScalarKind),
      always: extras?.always === true,
      hasPresence: isProto2 || inOneof,
      inline: extras?.inline === true,
      get message() {
        return kind === "message" ? (message ??= find(valueType)) : undefined;
      },
      enumeration: isEnum ? enumerationOf(valueType) : undefined,
    };
  };

  const compile = (name: string): Message | undefined => {
    const entry = table.entry("messages", name) as
      | { readonly f: readonly FieldRow[]; readonly oneof?: Readonly<Record<string, readonly string[]>> }
      | undefined;
    const rows = entry?.f ?? WELL_KNOWN[name];
    if (rows === undefined) return undefined;
    const oneofs = new Set(Object.values(entry?.oneof ?? {}).flat());
    const fields = rows.map((row) => fieldOf(row, oneofs.has(row[1]))).sort((a, b) => a.number - b.number);
    return {
      name,
      fields,
      special: specials?.get(name),
      byNumber: new Map(fields.map((field) => [field.number, field])),
      enums: fields.filter((f) => f.kind === "enum" && !f.isRepeated && f.mapKey === undefined && !f.hasPresence),
    };
  };

  const find = (name: string): Message | undefined => {
    let message = messages.get(name);
    if (message === undefined) {
      message = compile(name);
      if (message !== undefined) messages.set(name, message);
    }
    return message;
  };
  return { find };
}
