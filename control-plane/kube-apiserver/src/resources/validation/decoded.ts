/**
 * An API type as it comes out of decoding: what the type says it must have may still be absent, because checking that
 * is validation's work.
 */
export type Decoded<T> = T extends string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer U)[]
    ? readonly Decoded<U>[]
    : { readonly [K in keyof T]?: Decoded<T[K]> | undefined };

/** Sees a decoded object as its kind. The schema engine has checked the types of all fields. */
export function as<T>(object: unknown): Decoded<T> {
  return object as Decoded<T>;
}

/** A string field, `""` when absent. */
export const text = (value: string | undefined): string => value ?? "";
