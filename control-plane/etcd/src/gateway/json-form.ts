import { openLineTable, type LineTable } from "@coracle/api";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

type Row = readonly [number: number, name: string, type: string, label: string, extras?: { readonly json?: string }];
type Members = Record<string, unknown>;

const INTEGERS = new Set(["int64", "uint64"]);
const SCALARS = new Set(["string", "bool", "int32", "uint32", "double", "float", "bytes", ...INTEGERS]);

/** The JSON form of etcd's messages: 64-bit numbers as text, bytes in base64, zero values left out, names as in the protocol. */
export class JsonForm {
  readonly #table: LineTable = openLineTable("etcd");
  readonly #rows = new Map<string, readonly Row[] | undefined>();

  toJson(message: string, value: object): Members {
    const json: Members = {};
    for (const [, name, type, label, extras] of this.#fields(message) ?? []) {
      const member = (value as Members)[extras?.json ?? name];
      if (member === undefined || member === null) continue;
      if (label === "repeated") {
        const items = member as readonly unknown[];
        if (items.length > 0) json[name] = items.map((item) => this.#valueToJson(type, item));
      } else if (!this.#isZero(type, member)) json[name] = this.#valueToJson(type, member);
    }
    return json;
  }

  /** Throws INVALID_ARGUMENT for what is no such message. Names may be those of the protocol or their camel case. */
  fromJson(message: string, json: unknown): object {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw invalid(`unexpected token ${JSON.stringify(json)}`);
    }
    const value: Members = {};
    for (const [, name, type, label, extras] of this.#fields(message) ?? []) {
      const member = (json as Members)[name] ?? (json as Members)[extras?.json ?? camelCase(name)];
      if (member === undefined || member === null) continue;
      const read = (item: unknown): unknown => this.#valueFromJson(type, name, item);
      if (label === "repeated" && !Array.isArray(member)) throw invalid(`invalid value for field ${name}`);
      value[extras?.json ?? name] = label === "repeated" ? (member as unknown[]).map(read) : read(member);
    }
    return value;
  }

  #fields(message: string): readonly Row[] | undefined {
    if (!this.#rows.has(message)) {
      this.#rows.set(
        message,
        (this.#table.entry("messages", message) as { readonly f: readonly Row[] } | undefined)?.f,
      );
    }
    return this.#rows.get(message);
  }

  #isZero(type: string, value: unknown): boolean {
    if (value === 0 || value === 0n || value === "" || value === false) return true;
    if (type === "bytes") return (value as Buffer).length === 0;
    return !SCALARS.has(type) && typeof value === "string" && this.#enumeration(type)?.[value] === 0;
  }

  #enumeration(type: string): Readonly<Record<string, number>> | undefined {
    return this.#table.entry("enums", type) as Readonly<Record<string, number>> | undefined;
  }

  #valueToJson(type: string, value: unknown): unknown {
    if (type === "bytes") return (value as Buffer).toString("base64");
    if (INTEGERS.has(type)) return String(value);
    return SCALARS.has(type) || typeof value !== "object" || value === null ? value : this.toJson(type, value);
  }

  #valueFromJson(type: string, name: string, value: unknown): unknown {
    if (INTEGERS.has(type)) return integer(name, value);
    switch (type) {
      case "bytes":
        return base64(name, value);
      case "string":
      case "bool":
        if (typeof value !== (type === "bool" ? "boolean" : type))
          throw invalid(`invalid value for ${type} field ${name}`);
        return value;
      case "int32":
      case "uint32":
      case "double":
      case "float":
        return Number(value);
      default:
    }
    const names = this.#enumeration(type);
    if (names === undefined) return this.fromJson(type, value);
    const known = typeof value === "number" ? Object.keys(names).find((each) => names[each] === value) : value;
    if (typeof known !== "string" || !Object.hasOwn(names, known))
      throw invalid(`invalid value for enum field ${name}`);
    return known;
  }
}

const camelCase = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

function integer(name: string, value: unknown): bigint {
  try {
    if (typeof value === "string" || typeof value === "number") return BigInt(value);
  } catch {
    // Neither is what a number may look like.
  }
  throw invalid(`invalid value for int64 field ${name}`);
}

function base64(name: string, value: unknown): Buffer {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) {
    throw invalid(`invalid value for bytes field ${name}`);
  }
  return Buffer.from(value, "base64");
}

const invalid = (text: string): GrpcError => new GrpcError(grpcCode.invalidArgument, `proto: ${text}`);
