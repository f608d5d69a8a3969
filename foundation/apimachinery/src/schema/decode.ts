import { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime } from "@coracle/api";
import { badRequest, type StatusError } from "../errors/status-error.ts";
import type { Draft } from "../json/json.ts";
import { canonicalQuantity, QuantityError } from "../quantity/quantity.ts";
import { corruptByte } from "./base64.ts";
import { goPathTo, goTypeOf } from "./go-names.ts";
import { typeNameOf, type FieldSchema, type ObjectSchema, type SchemaNode } from "./schema-node.ts";

/** JSON that the type cannot hold. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** A decoded object and what was in the text but not in the type. */
export interface Decoded {
  /** Shares nothing with the input that decoding or a caller might change, except values of free form. */
  readonly object: Draft;
  /** `unknown field "spec.foo"`, in the order of the text. The members themselves are dropped. */
  readonly unknownFields: readonly string[];
}

/**
 * A value of the wrong form, which is told only when nothing worse follows: types that read themselves (quantities, times, …) end
 * the decoding at once.
 */
class FormError extends DecodeError {}

const DEEPEST = 10_000;

/** Reads one object of the type. Throws DecodeError. */
export function decodeObject(schema: ObjectSchema, value: unknown): Decoded {
  const decoder = new Decoder();
  const object = decoder.object(schema, value);
  if (decoder.wrongForm !== undefined) throw decoder.wrongForm;
  return { object, unknownFields: decoder.unknown };
}

/** The 400 answer for problems that only strict field validation refuses. */
export function strictDecodingError(
  gvk: { readonly version: string; readonly kind: string } | undefined,
  problems: readonly string[],
): StatusError {
  return cannotBeHandled(gvk, `strict decoding error: ${problems.join(", ")}`);
}

/** The 400 answer for text that does not decode. `groupVersion`: `v1`, `apps/v1`. */
export function cannotBeHandled(
  gvk: { readonly version: string; readonly kind: string } | undefined,
  why: string,
): StatusError {
  if (gvk === undefined) return badRequest(why);
  return badRequest(`${gvk.kind} in version "${gvk.version}" cannot be handled as a ${gvk.kind}: ${why}`);
}

class Decoder {
  readonly unknown: string[] = [];
  /** The first value of a form that its member cannot hold. */
  wrongForm: FormError | undefined;
  /** Names, indexes and keys of maps from the root to the value at hand. */
  readonly #path: PathPart[] = [];
  #owner = "";
  /** The types whose members the names of the path are. */
  readonly #owners: string[] = [];

  object(schema: ObjectSchema, value: unknown): Draft {
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.#mismatch(value, schema);
    const outerOwner = this.#owner;
    this.#owner = schema.name;
    const input = value as Draft;
    const out: Draft = {};
    const { fields } = schema;
    for (const key in input) {
      const field = fields.get(key);
      if (field === undefined) {
        this.#unknown(key);
        continue;
      }
      const member = input[key];
      // null is absent, except where a value of free form may be null itself.
      if (member === null || member === undefined) continue;
      const decoded = this.#member(field, member);
      if (field.omitsZero && isZero(decoded)) continue;
      if (field.isNullWhenEmpty && isZero(decoded)) continue;
      out[key] = decoded;
    }
    const { filled } = schema;
    for (let i = 0; i < filled.length; i++) {
      const field = filled[i] as FieldSchema;
      if (out[field.name] === undefined) out[field.name] = filledValue(field);
    }
    this.#owner = outerOwner;
    return out;
  }

  #member(field: FieldSchema, value: unknown): unknown {
    const { type } = field;
    if (type.kind === "string" && typeof value === "string") return value;
    const path = this.#path;
    this.#owners[path.length] = this.#owner;
    path.push(field.name);
    if (path.length > DEEPEST) throw new DecodeError("json: exceeded max depth");
    const decoded = this.#attempt(type, value);
    path.pop();
    return decoded;
  }

  /** The value, or undefined where its form is wrong. */
  #attempt(node: SchemaNode, value: unknown): unknown {
    const owner = this.#owner;
    const depth = this.#path.length;
    try {
      return this.value(node, value);
    } catch (error) {
      if (!(error instanceof FormError)) throw error;
      this.wrongForm ??= error;
      this.#owner = owner;
      this.#path.length = depth;
      return undefined;
    }
  }

  value(node: SchemaNode, value: unknown): unknown {
    switch (node.kind) {
      case "string":
        return typeof value === "string" ? value : this.#mismatch(value, node);
      case "boolean":
        return typeof value === "boolean" ? value : this.#mismatch(value, node);
      case "integer":
        return this.#integer(node.bits, value, node);
      case "number":
        return typeof value === "number" ? value : this.#mismatch(value, node);
      case "object":
        return this.object(node, value);
      case "array":
        return this.#array(node.items, value, node);
      case "map":
        return this.#map(node.values, value, node);
      case "any":
        return value;
      case "quantity":
        return this.#quantity(node.isRoundedToMilli, value);
      case "intOrString":
        return typeof value === "string" ? value : this.#orElseEnd(() => this.#integer(32, value, node));
      case "bytes":
        return this.#bytes(value, node);
      case "time":
        return formatTime(this.#time(value, "").seconds);
      case "microTime":
        return formatMicroTime(this.#time(value, ".000000"));
      case "duration":
        return this.#duration(value);
      case "schemaOr":
        return this.#schemaOr(node, value);
    }
  }

  #integer(bits: 8 | 32 | 64, value: unknown, node: SchemaNode): number {
    if (typeof value !== "number") return this.#mismatch(value, node);
    const isInside =
      bits === 8
        ? value >= 0 && value < 256
        : bits === 32
          ? value >= -2147483648 && value < 2147483648
          : value >= -9223372036854775808 && value <= 9223372036854775808;
    if (!Number.isInteger(value) || !isInside) return this.#mismatch(value, node);
    return value === 0 ? 0 : value;
  }

  #array(items: SchemaNode, value: unknown, node: SchemaNode): unknown[] {
    if (!Array.isArray(value)) return this.#mismatch(value, node);
    const out: unknown[] = new Array(value.length);
    const path = this.#path;
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (items.kind === "string" && typeof item === "string") {
        out[i] = item;
        continue;
      }
      path.push(i);
      out[i] = item === null ? this.#zero(items) : this.#attempt(items, item);
      path.pop();
    }
    return out;
  }

  #map(values: SchemaNode, value: unknown, node: SchemaNode): Draft {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return this.#mismatch(value, node);
    const input = value as Draft;
    const out: Draft = {};
    const path = this.#path;
    for (const key in input) {
      const member = input[key];
      let decoded = member;
      if (values.kind !== "string" || typeof member !== "string") {
        path.push({ key });
        decoded = member === null ? this.#zero(values) : this.#attempt(values, member);
        path.pop();
      }
      if (key === "__proto__") {
        Object.defineProperty(out, key, { value: decoded, enumerable: true, configurable: true, writable: true });
      } else out[key] = decoded;
    }
    return out;
  }

  /** What `null` reads as inside lists and maps. */
  #zero(node: SchemaNode): unknown {
    switch (node.kind) {
      case "string":
      case "bytes":
        return "";
      case "boolean":
        return false;
      case "integer":
      case "number":
      case "intOrString":
        return 0;
      case "quantity":
        return "0";
      case "object":
        return this.object(node, {});
      default:
        return null;
    }
  }

  #quantity(isRoundedToMilli: boolean, value: unknown): string {
    try {
      const text = typeof value === "string" ? value.trim() : JSON.stringify(value);
      return canonicalQuantity(typeof value === "number" ? value : text, isRoundedToMilli);
    } catch (error) {
      if (error instanceof QuantityError) throw new DecodeError(error.message);
      throw error;
    }
  }

  #bytes(value: unknown, node: SchemaNode): string {
    if (Array.isArray(value)) return this.#listedBytes(value);
    if (typeof value !== "string") return this.#mismatch(value, node);
    const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, "") : value;
    if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text))
      throw this.wrongForm ?? new FormError(`illegal base64 data at input byte ${corruptByte(Buffer.from(value))}`);
    return text;
  }

  /** Bytes may come as a list of numbers, too. */
  #listedBytes(list: readonly unknown[]): string {
    const bytes = list.map((item) => (item === null ? 0 : this.#attempt(BYTE, item)));
    return Buffer.from(bytes as number[]).toString("base64");
  }

  /** Types that read themselves end the decoding where they fail. */
  #orElseEnd<T>(read: () => T): T {
    const soft = this.wrongForm;
    try {
      this.wrongForm = undefined;
      const value = read();
      const inside = this.wrongForm as FormError | undefined;
      if (inside !== undefined) throw inside;
      return value;
    } catch (error) {
      throw error instanceof FormError ? new DecodeError(error.message) : error;
    } finally {
      this.wrongForm = soft;
    }
  }

  #time(value: unknown, fraction: string): { seconds: number; nanos: number } {
    const time = typeof value === "string" ? parseTime(value) : undefined;
    if (time !== undefined) return time;
    if (typeof value !== "string")
      throw new DecodeError(this.#wrongForm(value, { kind: "string" }).replace(/of type \S+$/, "of type string"));
    const good = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/.exec(value)?.[0];
    if (good !== undefined && good !== value && parseTime(good) !== undefined)
      throw new DecodeError(`parsing time ${quoteTime(value)}: extra text: ${quoteTime(value.slice(good.length))}`);
    throw new DecodeError(
      `parsing time ${quoteTime(value)} as "2006-01-02T15:04:05${fraction}Z07:00": cannot parse ${quoteTime(value)} as "2006"`,
    );
  }

  #duration(value: unknown): string {
    const nanos = typeof value === "string" ? parseDuration(value) : undefined;
    if (nanos !== undefined) return formatDuration(nanos);
    if (typeof value !== "string")
      throw new DecodeError(`json: cannot unmarshal ${jsonKind(value)} into Go value of type string`);
    throw new DecodeError(`time: invalid duration ${JSON.stringify(value)}`);
  }

  #schemaOr(node: Extract<SchemaNode, { kind: "schemaOr" }>, value: unknown): unknown {
    // What is unknown inside these is dropped without a word, as upstream does.
    const reported = this.unknown.length;
    const decoded = this.#orElseEnd(() => this.#schemaOrOther(node, value));
    this.unknown.length = reported;
    return decoded;
  }

  #schemaOrOther(node: Extract<SchemaNode, { kind: "schemaOr" }>, value: unknown): unknown {
    if (node.other === "boolean" && typeof value === "boolean") return value;
    if (node.other === "boolean" && typeof value !== "object") throw new DecodeError("boolean or JSON schema expected");
    if (Array.isArray(value)) {
      if (node.other === "array") return this.#array(node.schema, value, node);
      if (node.other === "strings") return this.#array({ kind: "string" }, value, node);
    }
    // Of lists, plain values count as nothing.
    if (node.other !== "boolean" && typeof value !== "object") return undefined;
    return this.object(node.schema, value);
  }

  #unknown(key: string): void {
    if (this.unknown.length >= 100) return;
    this.unknown.push(
      `unknown field "${fieldPath([...this.#path.map((part) => (typeof part === "object" ? part.key : part)), key])}"`,
    );
  }

  /** The first is told; a hundred thousand more would cost a second to describe. */
  #mismatch(value: unknown, node: SchemaNode): never {
    throw this.wrongForm ?? new FormError(this.#wrongForm(value, node));
  }

  #wrongForm(value: unknown, node: SchemaNode): string {
    const names = this.#goPath();
    const isNumber = node.kind === "integer" || node.kind === "intOrString";
    const what = isNumber && typeof value === "number" ? `number ${value}` : jsonKind(value);
    if (names.length === 0) {
      return `json: cannot unmarshal ${what} into Go value of type ${typeNameOf(node)}`;
    }
    const owner = this.#owner.slice(this.#owner.lastIndexOf(".") + 1);
    return `json: cannot unmarshal ${what} into Go struct field ${owner}.${names.join(".")} of type ${this.#goType(node)}`;
  }

  /** The names on the way, with those of structures that JSON does not show. */
  #goPath(): string[] {
    const names: string[] = [];
    this.#path.forEach((part, i) => {
      if (typeof part !== "string") return;
      const embedded = goPathTo(this.#owners[i] ?? "", part);
      names.push(embedded === undefined ? part : `${embedded}.${part}`);
    });
    return names;
  }

  #goType(node: SchemaNode): string {
    if (node.kind === "intOrString") return "int32";
    const path = this.#path;
    const at = path.findLastIndex((part) => typeof part === "string");
    const name = path[at];
    const type = typeof name === "string" ? goTypeOf(this.#owners[at] ?? "", name) : undefined;
    if (type === undefined) return typeNameOf(node);
    // An item of the list, not the list.
    if (at === path.length - 1) return type;
    if (type === "v1.ValidationRules") return typeNameOf(node);
    return type.replace(/^(?:\[\]|map\[[^\]]*\])/, "");
  }
}

/** A member's name, an item's index, or the key of a map, which messages about forms leave out. */
type PathPart = string | number | { readonly key: string };

const BYTE: SchemaNode = { kind: "integer", bits: 8 };

/** `spec.containers[0].image`. */
export function fieldPath(parts: readonly (string | number)[]): string {
  let text = "";
  for (const part of parts) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

/** As Go's clock quotes what it could not read: byte by byte where it is not ASCII. */
function quoteTime(text: string): string {
  const escaped = text
    .replaceAll(/["\\]/g, "\\$&")
    .replaceAll(/[^\x20-\x7f]/gu, (char) =>
      [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
    );
  return `"${escaped}"`;
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
    case "string":
      return typeof value;
    default:
      return value === null ? "null" : "object";
  }
}

function isZero(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value === "" || value === 0 || value === false;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value) return false;
  return true;
}

/** What an absent member that always shows holds. */
function filledValue(field: FieldSchema): unknown {
  if (field.fill !== "object") return field.fill?.value;
  const { type } = field;
  const out: Draft = {};
  if (type.kind === "object") for (const member of type.filled) out[member.name] = filledValue(member);
  return out;
}
