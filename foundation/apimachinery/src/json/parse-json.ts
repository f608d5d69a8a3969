import { badRequest } from "../errors/status-error.ts";
import { fieldPath } from "../schema/decode.ts";

/** What strict parsing found beside the value. */
export interface ParsedJson {
  readonly value: unknown;
  /** `duplicate field "spec.x"`, in the order of the text; the last of the duplicates is the value. */
  readonly duplicateFields: readonly string[];
}

const DEEPEST = 10_000;
const DEEPEST_COUNTED = 500;

/**
 * Parses JSON text. Members named `__proto__` are plain data. Throws a StatusError of code 400.
 * Does not look for duplicates: see `parseJsonStrict`.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw badRequest(`invalid JSON: ${(error as Error).message}`);
  }
}

/** Parses JSON text and names the members that occur twice in one object. Throws a StatusError of code 400. */
export function parseJsonStrict(text: string): ParsedJson {
  const value = parseJson(text);
  // The text is valid now, so the scan need not check it again.
  return { value, duplicateFields: findDuplicates(text) };
}

/**
 * The members that a valid JSON text names twice in one object: `duplicate field "spec.x"`, in the order of the text.
 * `value`: what it parses to.
 */
export function duplicateFields(text: string, value: unknown): readonly string[] {
  // Nearly always there are as many members as names.
  return countNames(text) === countMembers(value, 0) ? [] : findDuplicates(text);
}

function countMembers(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  // So deep ones are looked at in another way.
  if (depth > DEEPEST_COUNTED) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item, depth + 1);
    return count;
  }
  const object = value as { readonly [key: string]: unknown };
  for (const key in object) count += 1 + countMembers(object[key], depth + 1);
  return count;
}

function countNames(text: string): number {
  let count = 0;
  for (let start = text.indexOf('"'); start !== -1;) {
    let at = endOfString(text, start) + 1;
    while (isSpace(text.charCodeAt(at))) at++;
    if (text.charCodeAt(at) === 0x3a) count++;
    start = text.indexOf('"', at);
  }
  return count;
}

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** The unknown fields (`unknown field "spec.x"`) of a valid text among those that occur twice, in the order of the text. */
export function strictFields(text: string, unknown: readonly string[]): string[] {
  const wanted = new Set(unknown);
  const found = findDuplicates(text, wanted);
  return [...found, ...wanted];
}

interface Level {
  /** Names seen so far; undefined inside lists. */
  readonly names: Set<string> | undefined;
  /** The member or index at hand. */
  at: string | number;
}

/** `wanted`: texts of unknown fields that are to be found, too; those that were are taken out. */
function findDuplicates(text: string, wanted?: Set<string>): string[] {
  const found: string[] = [];
  const levels: Level[] = [];
  let expectsName = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        levels.push({ names: new Set(), at: "" });
        if (levels.length > DEEPEST) throw badRequest("json: exceeded max depth");
        expectsName = true;
        break;
      case 0x5b: // [
        levels.push({ names: undefined, at: 0 });
        if (levels.length > DEEPEST) throw badRequest("json: exceeded max depth");
        expectsName = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        levels.pop();
        expectsName = false;
        break;
      case 0x2c: {
        const level = levels[levels.length - 1];
        if (level === undefined) break;
        if (typeof level.at === "number") level.at++;
        else expectsName = true;
        break;
      }
      case 0x22: {
        const end = endOfString(text, i);
        if (end === text.length) return found; // no JSON
        const level = levels[levels.length - 1];
        if (expectsName && level?.names !== undefined) {
          expectsName = false;
          const raw = text.slice(i + 1, end);
          const name = raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
          level.at = name;
          if (wanted !== undefined && wanted.size > 0) {
            const field = `unknown field "${fieldPath(levels.map((each) => each.at))}"`;
            if (wanted.delete(field)) found.push(field);
          }
          if (level.names.has(name)) {
            if (found.length < 100) found.push(`duplicate field "${fieldPath(levels.map((each) => each.at))}"`);
          } else level.names.add(name);
        }
        i = end;
        break;
      }
    }
  }
  return found;
}

/** Index of the closing quote of the string that starts at `start`; the text's length when there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}
