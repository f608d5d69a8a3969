/** What a type is made of; `typeParam` stands for a type variable of a signature. */
export type CelKind =
  | "any"
  | "bool"
  | "bytes"
  | "double"
  | "duration"
  | "dyn"
  | "error"
  | "int"
  | "list"
  | "map"
  | "null"
  | "opaque"
  | "string"
  | "struct"
  | "timestamp"
  | "type"
  | "typeParam"
  | "uint";

/** A type known to the checker. Types are immutable and compared by structure. */
export interface CelType {
  readonly kind: CelKind;
  /** The name at run time, such as `google.protobuf.Duration`. */
  readonly name: string;
  readonly params: readonly CelType[];
}

const NONE: readonly CelType[] = [];

function simple(kind: CelKind, name: string): CelType {
  return { kind, name, params: NONE };
}

export const ANY = simple("any", "google.protobuf.Any");
export const BOOL = simple("bool", "bool");
export const BYTES = simple("bytes", "bytes");
export const DOUBLE = simple("double", "double");
export const DURATION = simple("duration", "google.protobuf.Duration");
export const DYN = simple("dyn", "dyn");
export const ERROR = simple("error", "*error*");
export const INT = simple("int", "int");
export const NULL = simple("null", "null_type");
export const STRING = simple("string", "string");
export const TIMESTAMP = simple("timestamp", "google.protobuf.Timestamp");
export const UINT = simple("uint", "uint");

/** The type `list(element)`. */
export function listType(element: CelType): CelType {
  return { kind: "list", name: "list", params: [element] };
}

/** The type `map(key, value)`. */
export function mapType(key: CelType, value: CelType): CelType {
  return { kind: "map", name: "map", params: [key, value] };
}

/** An object type: its fields are looked up by name in the environment. */
export function objectType(name: string): CelType {
  return simple("struct", name);
}

/** A type without fields whose values only functions understand. */
export function opaqueType(name: string, ...params: CelType[]): CelType {
  return { kind: "opaque", name, params };
}

/** The type `optional_type(value)`. */
export function optionalType(value: CelType): CelType {
  return opaqueType("optional_type", value);
}

/** The type of a type, such as what the identifier `int` has. */
export function typeType(of?: CelType): CelType {
  return { kind: "type", name: "type", params: of === undefined ? NONE : [of] };
}

/** A type variable of a function's signature. */
export function typeParam(name: string): CelType {
  return simple("typeParam", name);
}

export function isDyn(type: CelType): boolean {
  return type.kind === "dyn" || type.kind === "any";
}

export function isOptional(type: CelType): boolean {
  return type.kind === "opaque" && type.name === "optional_type";
}

/** The value's type of an optional, and the type itself of everything else. */
export function unwrapOptional(type: CelType): CelType {
  return isOptional(type) ? type.params[0]! : type;
}

/** Whether both are the same type. */
export function sameType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.params.length !== b.params.length) return false;
  const named = a.kind === "opaque" || a.kind === "struct" || a.kind === "typeParam";
  if (named && a.name !== b.name) return false;
  return a.params.every((param, index) => sameType(param, b.params[index]!));
}

/** Whether both are the same type when type variables and dyn are told apart only by their kind. */
export function equivalentType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.params.length !== b.params.length) return false;
  if ((a.kind === "opaque" || a.kind === "struct") && a.name !== b.name) return false;
  return a.params.every((param, index) => equivalentType(param, b.params[index]!));
}

/** Whether a value of `from` may stand where `to` is wanted, without type variables. */
export function assignableType(to: CelType, from: CelType): boolean {
  if (to === from || isDyn(to)) return true;
  if (to.kind !== from.kind || to.name !== from.name || to.params.length !== from.params.length) return false;
  return to.params.every((param, index) => assignableType(param, from.params[index]!));
}

/** The type as error messages show it. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case "any":
      return "any";
    case "duration":
      return "duration";
    case "error":
      return "!error!";
    case "null":
      return "null";
    case "timestamp":
      return "timestamp";
    case "typeParam":
      return type.name;
    default:
      return type.params.length === 0 ? type.name : `${type.name}(${type.params.map(formatType).join(", ")})`;
  }
}

/** The signature of a call as error messages show it. */
export function formatSignature(args: readonly CelType[], member: boolean): string {
  const [target, ...rest] = args;
  return member && target !== undefined
    ? `${formatType(target)}.(${rest.map(formatType).join(", ")})`
    : `(${args.map(formatType).join(", ")})`;
}

/** The type by the names its values have at run time, as messages about results show it. */
export function describeType(type: CelType): string {
  return type.params.length === 0 ? type.name : `${type.name}(${type.params.map(describeType).join(", ")})`;
}
