import type { FunctionDeclaration, Implementation, Overload } from "../check/environment.ts";
import type { CelType } from "../types/cel-type.ts";
import { typeParam } from "../types/cel-type.ts";

export const A = typeParam("A");
export const B = typeParam("B");

/** A signature called as `name(args)`. */
export function overload(id: string, args: readonly CelType[], result: CelType, call?: Implementation): Overload {
  return { id, args, result, member: false, ...(call === undefined ? {} : { call }) };
}

/** A signature called as `target.name(args)`; the target is the first of `args`. */
export function member(id: string, args: readonly CelType[], result: CelType, call?: Implementation): Overload {
  return { id, args, result, member: true, ...(call === undefined ? {} : { call }) };
}

/** A function with its signatures. */
export function define(name: string, ...overloads: readonly Overload[]): FunctionDeclaration {
  return { name, overloads };
}

/** A function whose signatures share one implementation. */
export function defineShared(
  name: string,
  call: Implementation,
  ...overloads: readonly Overload[]
): FunctionDeclaration {
  return { name, overloads, call };
}

/** All functions of several libraries; the same name in two libraries has the signatures of both. */
export function mergeFunctions(
  ...libraries: ReadonlyArray<readonly FunctionDeclaration[]>
): ReadonlyMap<string, FunctionDeclaration> {
  const merged = new Map<string, FunctionDeclaration>();
  for (const declaration of libraries.flat()) {
    const found = merged.get(declaration.name);
    if (found === undefined) merged.set(declaration.name, declaration);
    else {
      merged.set(declaration.name, {
        ...found,
        ...declaration,
        overloads: [...found.overloads, ...declaration.overloads],
      });
    }
  }
  return merged;
}
