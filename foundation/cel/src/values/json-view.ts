import { parseRfc3339, parseStrfmtDuration } from "./time.ts";
import { equalJson } from "@coracle/apimachinery";
import { opaqueType, type CelType } from "../types/cel-type.ts";
import { escapeField, unescapeField } from "../schema/field-names.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelOpaque,
  CelTimestamp,
  normalInt,
  type CelValue,
} from "./value.ts";

/**
 * How plain JSON is read: what JSON Schema says of a place, as far as values depend on it. Shapes are made once per
 * schema; values are read through them without being copied.
 */
export type Shape =
  | {
      readonly kind: "dyn" | "intOrString" | "number" | "integer" | "boolean" | "preserved";
      readonly nullable?: boolean;
    }
  | { readonly kind: "string"; readonly format?: string; readonly nullable?: boolean }
  | ObjectShape
  | { readonly kind: "map"; readonly values: Shape; readonly nullable?: boolean }
  | ListShape
  | { readonly kind: "invalid"; readonly message: string; readonly nullable?: boolean };

/** An object with known fields; others are kept but not seen. */
export interface ObjectShape {
  readonly kind: "object";
  readonly fields: ReadonlyMap<string, Shape>;
  readonly nullable?: boolean;
}

/** A list, with how its elements are told apart. */
export interface ListShape {
  readonly kind: "list";
  items: Shape;
  readonly listType?: "atomic" | "set" | "map";
  readonly mapKeys?: readonly string[];
  readonly nullable?: boolean;
}

/** JSON of which nothing is known. */
export const DYNAMIC: Shape = { kind: "dyn", nullable: true };

/** The value of a piece of JSON. Nothing is copied: objects and lists are read when they are asked. */
export function viewJson(raw: unknown, shape: Shape = DYNAMIC): CelValue {
  if (shape.kind === "dyn") return viewDynamic(raw);
  if (raw === null || raw === undefined) {
    return shape.nullable === true ? null : new CelError("invalid data, got null for schema with nullable=false");
  }
  switch (shape.kind) {
    case "string":
      if (typeof raw !== "string") return new CelError(`invalid data, expected string, got ${goType(raw)}`);
      return shape.format === undefined ? raw : viewFormatted(raw, shape.format);
    case "integer":
      if (typeof raw === "bigint") return raw;
      return Number.isInteger(raw)
        ? integerOf(raw as number)
        : new CelError(`invalid data, expected int, got ${goType(raw)}`);
    case "number":
      return typeof raw === "number" || typeof raw === "bigint"
        ? new CelDouble(Number(raw))
        : new CelError(`invalid data, expected float, got ${goType(raw)}`);
    case "boolean":
      return typeof raw === "boolean" ? raw : new CelError(`invalid data, expected bool, got ${goType(raw)}`);
    case "intOrString":
      if (typeof raw === "string" || typeof raw === "bigint") return raw;
      if (Number.isInteger(raw)) return integerOf(raw as number);
      return new CelError("invalid data, expected XIntOrString value to be either a string or integer");
    case "object":
      if (typeof raw !== "object" || Array.isArray(raw)) {
        return new CelError("invalid data, expected a map for the provided schema with type=object");
      }
      return new JsonObjectView(raw as Record<string, unknown>, shape);
    case "map":
      if (typeof raw !== "object" || Array.isArray(raw)) {
        return new CelError("invalid data, expected a map for the provided schema with type=object");
      }
      return new JsonMapView(raw as Record<string, unknown>, shape.values);
    case "list":
      if (!Array.isArray(raw)) {
        return new CelError("invalid data, expected an array for the provided schema with type=array");
      }
      return new JsonListView(raw, shape);
    case "preserved":
      return new JsonPreserved(raw);
    case "invalid":
      return new CelError(shape.message);
  }
}

const DYNAMIC_LIST: ListShape = { kind: "list", items: DYNAMIC };

function viewDynamic(raw: unknown): CelValue {
  switch (typeof raw) {
    case "string":
    case "boolean":
    case "bigint":
      return raw;
    case "number":
      return Number.isInteger(raw) ? integerOf(raw) : new CelDouble(raw);
    default:
      if (raw === null || raw === undefined) return null;
      if (Array.isArray(raw)) return new JsonListView(raw, DYNAMIC_LIST);
      if (isValue(raw)) return raw;
      return new JsonMapView(raw as Record<string, unknown>, DYNAMIC);
  }
}

function isValue(raw: unknown): raw is CelValue {
  return (
    raw instanceof CelList ||
    raw instanceof CelMap ||
    raw instanceof CelOpaque ||
    raw instanceof CelDouble ||
    raw instanceof CelTimestamp ||
    raw instanceof CelDuration ||
    raw instanceof CelBytes ||
    raw instanceof CelError
  );
}

function integerOf(raw: number): number | bigint | CelDouble {
  if (Number.isSafeInteger(raw)) return raw;
  return Math.abs(raw) < 2 ** 63 ? normalInt(BigInt(raw)) : new CelDouble(raw);
}

function viewFormatted(text: string, format: string): CelValue {
  switch (format) {
    case "duration": {
      const nanos = parseStrfmtDuration(text);
      return nanos === undefined
        ? new CelError(`Invalid duration ${text}: unable to parse ${JSON.stringify(text)} as duration`)
        : new CelDuration(nanos);
    }
    case "date": {
      const moment = /^\d{4}-\d\d-\d\d$/.test(text) ? parseRfc3339(`${text}T00:00:00Z`) : undefined;
      return moment ?? new CelError(`Invalid date formatted string ${text}: parsing time ${JSON.stringify(text)}`);
    }
    case "date-time":
      return (
        parseRfc3339(text) ??
        new CelError(`Invalid date-time formatted string ${text}: parsing time ${JSON.stringify(text)}`)
      );
    case "byte":
      return new CelBytes(Buffer.from(text, "base64"));
    default:
      return text;
  }
}

function goType(raw: unknown): string {
  switch (typeof raw) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "bigint":
      return "int64";
    case "number":
      return Number.isInteger(raw) ? "int64" : "float64";
    default:
      return Array.isArray(raw) ? "[]interface {}" : "map[string]interface {}";
  }
}

/** A list read from JSON. */
export class JsonListView extends CelList {
  readonly raw: readonly unknown[];
  readonly shape: ListShape;
  constructor(raw: readonly unknown[], shape: ListShape) {
    super();
    this.raw = raw;
    this.shape = shape;
  }
  get size(): number {
    return this.raw.length;
  }
  at(index: number): CelValue {
    return viewJson(this.raw[index], this.shape.items);
  }
}

/** A map read from JSON. */
export class JsonMapView extends CelMap {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly #values: Shape;
  constructor(raw: Readonly<Record<string, unknown>>, values: Shape) {
    super();
    this.raw = raw;
    this.#values = values;
  }
  get size(): number {
    let count = 0;
    for (const key in this.raw) if (this.raw[key] !== undefined) count++;
    return count;
  }
  find(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") return undefined;
    const { raw } = this;
    if (!Object.hasOwn(raw, key)) return undefined;
    const value = raw[key];
    return value === undefined ? undefined : viewJson(value, this.#values);
  }
  *keys(): Iterable<CelValue> {
    for (const key of Object.keys(this.raw)) if (this.raw[key] !== undefined) yield key;
  }
}

/** An object read from JSON; its fields go by their escaped names. */
export class JsonObjectView extends CelMap {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly shape: ObjectShape;
  constructor(raw: Readonly<Record<string, unknown>>, shape: ObjectShape) {
    super();
    this.raw = raw;
    this.shape = shape;
  }
  get size(): number {
    return Object.keys(this.raw).length;
  }
  find(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") return new CelError("no such overload");
    const name = unescapeField(key);
    if (name === undefined || !Object.hasOwn(this.raw, name)) return undefined;
    const value = this.raw[name];
    if (value === null || value === undefined) return undefined;
    const shape = this.shape.fields.get(name);
    return shape === undefined ? undefined : viewJson(value, shape);
  }
  *keys(): Iterable<CelValue> {
    for (const key of Object.keys(this.raw)) if (this.shape.fields.has(key)) yield escapeField(key) ?? key;
  }
}

/** What a schema preserves without knowing it: it can only be compared. */
export class JsonPreserved extends CelOpaque {
  static readonly TYPE: CelType = opaqueType("unknown");
  readonly type = JsonPreserved.TYPE;
  readonly raw: unknown;
  constructor(raw: unknown) {
    super();
    this.raw = raw;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof JsonPreserved && equalJson(this.raw as never, other.raw as never);
  }
}

/** The JSON list that `+` makes of two: sets and maps merge, others are joined. Undefined for joined ones. */
export function mergeJsonLists(a: JsonListView, b: CelList): JsonListView | undefined {
  const { listType, mapKeys = [] } = a.shape;
  if ((listType !== "set" && listType !== "map") || !(b instanceof JsonListView)) return undefined;
  const keyOf = (value: unknown): string => elementKey(value, listType, mapKeys);
  const merged = new Map(a.raw.map((value) => [keyOf(value), value]));
  for (const value of b.raw) {
    if (listType === "set" && merged.has(keyOf(value))) continue;
    merged.set(keyOf(value), value);
  }
  return new JsonListView([...merged.values()], a.shape);
}

/** What an element of a set or a map is told apart by. */
export function elementKey(value: unknown, listType: "set" | "map", mapKeys: readonly string[]): string {
  if (listType === "set") return JSON.stringify(value);
  return JSON.stringify(mapKeys.map((key) => (value as Readonly<Record<string, unknown>> | null)?.[key]));
}
