import {
  DYN,
  isDyn,
  listType,
  mapType,
  opaqueType,
  sameType,
  assignableType,
  typeType,
  type CelType,
} from "./cel-type.ts";

/** What the type variables met so far stand for. */
export type Substitution = Map<string, CelType>;

/** The substitution under which each of `from` may stand for its `to`, or undefined when there is none. */
export function unifyAll(
  known: Substitution,
  from: readonly CelType[],
  to: readonly CelType[],
): Substitution | undefined {
  const draft = new Map(known);
  return assignableAll(draft, from, to) ? draft : undefined;
}

/** The substitution under which `from` may stand for `to`, or undefined when there is none. */
export function unify(known: Substitution, from: CelType, to: CelType): Substitution | undefined {
  if (from === to && from.kind !== "typeParam") return known;
  const draft = new Map(known);
  return assignable(draft, from, to) ? draft : undefined;
}

/** The more general of two types that unify. */
export function mostGeneral(a: CelType, b: CelType): CelType {
  return isLessSpecific(a, b) ? a : b;
}

/** The type with its variables replaced; those still free become dyn when `freeToDyn`. */
export function substitute(known: Substitution, type: CelType, freeToDyn: boolean): CelType {
  if (type.kind === "typeParam") {
    const found = known.get(type.name);
    if (found !== undefined) return substitute(known, found, freeToDyn);
    return freeToDyn ? DYN : type;
  }
  if (type.params.length === 0) return type;
  switch (type.kind) {
    case "list": {
      const element = substitute(known, type.params[0]!, freeToDyn);
      return element === type.params[0] ? type : listType(element);
    }
    case "map": {
      const key = substitute(known, type.params[0]!, freeToDyn);
      const value = substitute(known, type.params[1]!, freeToDyn);
      return key === type.params[0] && value === type.params[1] ? type : mapType(key, value);
    }
    case "opaque":
      return opaqueType(type.name, ...type.params.map((param) => substitute(known, param, freeToDyn)));
    case "type":
      return typeType(substitute(known, type.params[0]!, freeToDyn));
    default:
      return type;
  }
}

function assignableAll(known: Substitution, from: readonly CelType[], to: readonly CelType[]): boolean {
  return from.length === to.length && from.every((type, index) => assignable(known, type, to[index]!));
}

function assignable(known: Substitution, from: CelType, to: CelType): boolean {
  if (to.kind === "typeParam") {
    const { valid, bound } = bind(known, from, to);
    if (valid) return true;
    if (bound) return false;
  }
  if (from.kind === "typeParam") return bind(known, to, from).valid;
  if (isDyn(from) || isDyn(to) || from.kind === "error" || to.kind === "error") return true;
  if (from.kind === "null") return isNullable(to);
  if (to.kind === "null") return isNullable(from);
  switch (from.kind) {
    case "type":
      return to.kind === "type";
    case "opaque":
    case "list":
    case "map":
      return from.kind === to.kind && from.name === to.name && assignableAll(known, from.params, to.params);
    default:
      return assignableType(to, from);
  }
}

function isNullable(type: CelType): boolean {
  switch (type.kind) {
    case "opaque":
    case "struct":
    case "any":
    case "duration":
    case "timestamp":
    case "null":
      return true;
    default:
      return false;
  }
}

function bind(known: Substitution, type: CelType, param: CelType): { valid: boolean; bound: boolean } {
  if (type.kind === param.kind && sameType(type, param)) return { valid: true, bound: true };
  const found = known.get(param.name);
  if (found !== undefined) {
    if (type.kind === found.kind && sameType(type, found)) return { valid: true, bound: true };
    if (assignable(known, type, found)) {
      const general = mostGeneral(type, found);
      if (doesNotOccur(known, param, general)) known.set(param.name, general);
      return { valid: true, bound: true };
    }
    return { valid: false, bound: true };
  }
  if (doesNotOccur(known, param, type)) {
    known.set(param.name, type);
    return { valid: true, bound: false };
  }
  return { valid: false, bound: false };
}

function doesNotOccur(known: Substitution, param: CelType, within: CelType): boolean {
  if (sameType(param, within)) return false;
  if (within.kind === "typeParam") {
    const found = known.get(within.name);
    return found === undefined || doesNotOccur(known, param, found);
  }
  if (within.kind === "struct") return true;
  return within.params.every((inner) => doesNotOccur(known, param, inner));
}

function isLessSpecific(a: CelType, b: CelType): boolean {
  if (isDyn(a) || a.kind === "typeParam") return true;
  if (isDyn(b) || b.kind === "typeParam") return false;
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case "opaque":
      return (
        a.name === b.name &&
        a.params.length === b.params.length &&
        a.params.every((param, index) => isLessSpecific(param, b.params[index]!))
      );
    case "list":
    case "map":
      return a.params.every((param, index) => isLessSpecific(param, b.params[index]!));
    case "type":
      return true;
    default:
      return sameType(a, b);
  }
}
