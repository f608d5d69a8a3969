import { isObject, type Draft } from "../json/json.ts";

/** The value with members in the order of their names, as upstream prints maps. */
export function sortedJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => sortedJson(item));
  if (!isObject(value)) return value;
  const out: Draft = {};
  for (const key of Object.keys(value).sort()) {
    const member = sortedJson(value[key]);
    if (key !== "__proto__") out[key] = member;
    else Object.defineProperty(out, key, { value: member, enumerable: true, configurable: true, writable: true });
  }
  return out;
}
