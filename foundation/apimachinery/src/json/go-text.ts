import { isObject } from "./json.ts";

/** A JSON value as Go prints it with `%v`, which messages of patches show: `map[a:1 b:[x y]]`. */
export function goText(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (!isObject(value)) return typeof value === "object" ? JSON.stringify(value) : String(value as string | number);
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${members.map(([key, member]) => `${key}:${goText(member)}`).join(" ")}]`;
}
