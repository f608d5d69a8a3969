import { builtInSchema } from "@coracle/apimachinery";
import type { SchemaPort } from "./schema-port.ts";

/** The schema engine over the API tables, as the registry uses it. Compiles types as they are met. */
export function createBuiltInSchemaPort(): SchemaPort {
  const engine = builtInSchema();
  return {
    decode(type, value) {
      const { object, unknownFields } = engine.decodeKind(type, value);
      return { object, strict: unknownFields };
    },
  };
}
