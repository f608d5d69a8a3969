import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { isObject, type Draft } from "@coracle/apimachinery";

/** An object that upstream accepts, and the collection it goes into. */
export interface Seed {
  readonly seed: string;
  readonly path: string;
  readonly object: Draft;
  /** As upstream stored and answered it. */
  readonly answer: Draft;
}

/** One change to a seed. */
export interface Change {
  readonly seed: string;
  readonly verb: "create" | "update";
  readonly op: "add" | "remove" | "replace";
  readonly path: string;
  readonly value?: unknown;
}

const load = (name: string): string =>
  gunzipSync(
    readFileSync(new URL(`../../../../control-plane/kube-apiserver/testdata/answers/${name}.gz`, import.meta.url)),
  ).toString("utf8");

export const loadSeeds = (): Seed[] => JSON.parse(load("seeds.json")) as Seed[];

export const loadChanges = (): Change[] =>
  load("answers.jsonl")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Change);

export const nameOf = (object: Draft): string => String((object["metadata"] as Draft)["name"]);

/** Takes one step of change in place; false where an earlier change took its ground. */
export function changeIn(object: Draft, { op, path, value }: Change): boolean {
  const parts = path
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = parts.pop() ?? "";
  let at: unknown = object;
  for (const part of parts) {
    if (Array.isArray(at)) at = at[Number(part)];
    else if (isObject(at)) at = at[part];
    else return false;
  }
  const given = value === "x*300" ? "x".repeat(300) : structuredClone(value);
  if (Array.isArray(at)) {
    const index = last === "-" ? at.length : Number(last);
    if (index > at.length) return false;
    if (op === "remove") at.splice(index, 1);
    else at.splice(index, op === "add" ? 0 : 1, given);
    return true;
  }
  if (!isObject(at)) return false;
  if (op === "remove") delete at[last];
  else at[last] = given as Draft[string];
  return true;
}
