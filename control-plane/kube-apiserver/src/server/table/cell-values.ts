import type { Json } from "@coracle/apimachinery";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { age as ageOf } from "./duration.ts";

/** Computes the cells of one row. */
export type CellsOf = (object: ApiObject, now: number) => readonly Json[];

export const NONE = "<none>";
export const UNSET = "<unset>";

/** Reads `a.b[0].c` of JSON data; undefined where the path ends early. */
export function at(value: unknown, path: string): unknown {
  let current = value;
  for (const part of path.split(".")) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string, unknown>)[part];
  }
  return current;
}

export const text = (value: unknown, fallback = ""): string =>
  typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : fallback;
export const orText = (value: unknown, fallback: string): string => text(value) || fallback;
export const count = (value: unknown): number => (typeof value === "number" ? value : 0);
export const list = (value: unknown): readonly Record<string, unknown>[] =>
  Array.isArray(value) ? (value as Record<string, unknown>[]) : [];
export const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.map((one) => text(one)) : [];
export const size = (value: unknown): number =>
  Array.isArray(value) ? value.length : typeof value === "object" && value !== null ? Object.keys(value).length : 0;

/** `a=1,b=2`, sorted. */
export function map(value: unknown): string {
  const entries = Object.entries((value ?? {}) as Record<string, string>).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? NONE : entries.map(([key, one]) => `${key}=${one}`).join(",");
}

/** A label selector as it is typed. */
export function selector(value: unknown): string {
  const labels = Object.entries((at(value, "matchLabels") ?? {}) as Record<string, string>);
  const terms = labels.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => `${key}=${one}`);
  for (const expression of list(at(value, "matchExpressions"))) {
    const key = text(expression["key"]);
    const values = strings(expression["values"]).toSorted().join(",");
    const operator = text(expression["operator"]);
    if (operator === "Exists") terms.push(key);
    else if (operator === "DoesNotExist") terms.push(`!${key}`);
    else terms.push(`${key} ${operator === "In" ? "in" : "notin"} (${values})`);
  }
  return terms.length === 0 ? NONE : terms.join(",");
}

/** The first `limit` joined by commas, then how many more there are. */
export function cut(items: readonly string[], limit: number, empty: string): string {
  if (items.length === 0) return empty;
  const rest = items.length - limit;
  return rest > 0 ? `${items.slice(0, limit).join(",")} + ${rest} more...` : items.join(",");
}

export const nameOf = (object: ApiObject): string => text(object.metadata["name"]);
export const age = (object: ApiObject, now: number): string => ageOf(object.metadata["creationTimestamp"], now);
export const names = (template: unknown): string =>
  list(at(template, "spec.containers"))
    .map((one) => text(one["name"]))
    .join(",");
export const images = (template: unknown): string =>
  list(at(template, "spec.containers"))
    .map((one) => text(one["image"]))
    .join(",");
export const condition = (object: ApiObject, type: string): Record<string, unknown> | undefined =>
  list(at(object, "status.conditions")).find((one) => one["type"] === type);

/** Name, one cell for each path, age. */
export const simple =
  (...paths: readonly (string | ((object: ApiObject, now: number) => Json))[]): CellsOf =>
  (object, now) => [
    nameOf(object),
    ...paths.map((path) =>
      typeof path === "string" ? ((at(object, path) as Json | undefined) ?? "") : path(object, now),
    ),
    age(object, now),
  ];
