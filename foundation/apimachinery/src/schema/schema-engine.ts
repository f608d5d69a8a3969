import { StatusError } from "../errors/status-error.ts";
import { createCompiler } from "./compile.ts";
import { cannotBeHandled, decodeObject, DecodeError, type Decoded } from "./decode.ts";
import { openBuiltInDefinitions, type DefinitionSource, type GroupVersionKind } from "./definitions.ts";
import type { ObjectSchema } from "./schema-node.ts";

/** The rules that the API tables state, applied to objects. Definitions are compiled as they are met. */
export interface SchemaEngine {
  /** The type's members; undefined for a name that is no object type. */
  find(definition: string): ObjectSchema | undefined;
  /** The type of a kind. */
  findKind(gvk: GroupVersionKind): ObjectSchema | undefined;
  /**
   * Reads parsed JSON as an object of the type, into a new object: structure checked, unknown members dropped and
   * named, null as absent, values in canonical form, members that always show filled in, declared defaults set.
   * Throws a StatusError of code 400; `gvk` is who its message speaks of.
   */
  decode(definition: string, value: unknown, gvk?: GroupVersionKind): Decoded;
  /** The same, for a kind. Throws a plain error for a kind the tables do not have. */
  decodeKind(gvk: GroupVersionKind, value: unknown): Decoded;
}

export function createSchemaEngine(source: DefinitionSource): SchemaEngine {
  const find = createCompiler(source);
  const decode = (schema: ObjectSchema, value: unknown, gvk?: GroupVersionKind): Decoded => {
    try {
      return decodeObject(schema, value);
    } catch (error) {
      if (error instanceof DecodeError) throw cannotBeHandled(gvk, error.message);
      throw StatusError.from(error);
    }
  };
  const known = (schema: ObjectSchema | undefined, what: string): ObjectSchema => {
    if (schema === undefined) throw new Error(`the API tables have no type ${what}`);
    return schema;
  };
  const findKind = (gvk: GroupVersionKind): ObjectSchema | undefined => {
    const name = source.nameOf(gvk);
    return name === undefined ? undefined : find(name);
  };
  return {
    find,
    findKind,
    decode: (definition, value, gvk) => decode(known(find(definition), definition), value, gvk),
    decodeKind: (gvk, value) => decode(known(findKind(gvk), gvk.kind), value, gvk),
  };
}

let builtIn: SchemaEngine | undefined;

/** The engine over the built-in API's tables; made on the first call, shared. */
export function builtInSchema(): SchemaEngine {
  return (builtIn ??= createSchemaEngine(openBuiltInDefinitions()));
}
