import type { Json } from "@coracle/apimachinery";
import { toText } from "./convert.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelUint,
  typeNameOf,
  type CelValue,
} from "./value.ts";

/** A value that JSON has no form for. */
export class NotJsonError extends Error {
  override readonly name = "NotJsonError";
}

/** The JSON of a value; `opaque` gives that of values only a library understands. Throws NotJsonError. */
export function celToJson(value: CelValue, opaque?: (value: CelValue) => Json | undefined): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number")
    return value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof CelDouble) return value.value;
  if (value instanceof CelUint) return Number(value.value);
  if (value instanceof CelBytes) return Buffer.from(value.value).toString("base64");
  if (value instanceof CelTimestamp || value instanceof CelDuration) return toText(value) as string;
  if (value instanceof CelList)
    return Array.from({ length: value.size }, (_unused, index) => celToJson(value.at(index), opaque));
  if (value instanceof CelMap) {
    const result: Record<string, Json> = {};
    for (const key of value.keys()) {
      if (typeof key !== "string") throw new NotJsonError(`map key is of type ${typeNameOf(key)}, not string`);
      result[key] = celToJson(value.find(key)!, opaque);
    }
    return result;
  }
  if (value instanceof CelOptional && value.value !== undefined) return celToJson(value.value, opaque);
  const json = opaque?.(value);
  if (json === undefined) throw new NotJsonError(`a value of type ${typeNameOf(value)} has no form in JSON`);
  return json;
}
