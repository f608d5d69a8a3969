import { isObject, type Draft } from "../json/json.ts";
import type { SchemaNode } from "./schema-node.ts";

/**
 * The value with integers of 32 bits cut to them, as upstream converts what is applied: the upper bits are lost without
 * a word. What has none is shared.
 */
export function wrapIntegers(node: SchemaNode, value: unknown): unknown {
  switch (node.kind) {
    case "integer":
      return node.bits === 32 && typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 63
        ? Number(BigInt.asIntN(32, BigInt(value)))
        : value;
    case "array":
      return Array.isArray(value) ? value.map((item) => wrapIntegers(node.items, item)) : value;
    case "map":
      return isObject(value) ? membersOf(value, () => node.values) : value;
    case "object":
      return isObject(value) ? membersOf(value, (name) => node.fields.get(name)?.type) : value;
    default:
      return value;
  }
}

function membersOf(value: Draft, typeOf: (name: string) => SchemaNode | undefined): Draft {
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const type = typeOf(name);
      return [name, type === undefined ? member : wrapIntegers(type, member)];
    }),
  );
}
