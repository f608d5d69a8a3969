import { RE2JS } from "re2js";
import type { FunctionDeclaration } from "../check/environment.ts";
import { STRING, INT, listType } from "../types/cel-type.ts";
import { ArrayList, CelError, type CelValue } from "../values/value.ts";
import { define, member } from "./define.ts";

/** A compiled pattern. */
export interface Regex {
  test(text: string): boolean;
  find(text: string): string;
  findAll(text: string, limit: number): string[];
}

const CACHE_SIZE = 512;
const cache = new Map<string, Regex | CelError>();

/** The pattern, compiled once, or the error that RE2 has with it. */
export function compileRegex(pattern: string): Regex | CelError {
  const cached = cache.get(pattern);
  if (cached !== undefined) return cached;
  const compiled = compile(pattern);
  if (cache.size >= CACHE_SIZE) cache.delete(cache.keys().next().value!);
  cache.set(pattern, compiled);
  return compiled;
}

function compile(pattern: string): Regex | CelError {
  let regex: RE2JS;
  try {
    regex = RE2JS.compile(pattern);
  } catch (error) {
    return new CelError(error instanceof Error ? error.message : String(error));
  }
  return {
    test: (text) => regex.matcher(text).find(),
    find: (text) => {
      const matcher = regex.matcher(text);
      return matcher.find() ? (matcher.group() ?? "") : "";
    },
    findAll: (text, limit) => {
      const found: string[] = [];
      const matcher = regex.matcher(text);
      while ((limit < 0 || found.length < limit) && matcher.find()) found.push(matcher.group() ?? "");
      return found;
    },
  };
}

function find([text, pattern]: readonly CelValue[]): CelValue {
  const regex = compileRegex(pattern as string);
  return regex instanceof CelError ? new CelError(`Illegal regex: ${regex.message}`) : regex.find(text as string);
}

function findAll([text, pattern, limit = -1]: readonly CelValue[]): CelValue {
  const regex = compileRegex(pattern as string);
  if (regex instanceof CelError) return new CelError(`Illegal regex: ${regex.message}`);
  return new ArrayList(regex.findAll(text as string, Number(limit)));
}

/** `find` and `findAll`. */
export const REGULAR_EXPRESSIONS: readonly FunctionDeclaration[] = [
  define("find", member("string_find_string", [STRING, STRING], STRING, find)),
  define(
    "findAll",
    member("string_find_all_string", [STRING, STRING], listType(STRING), findAll),
    member("string_find_all_string_int", [STRING, STRING, INT], listType(STRING), findAll),
  ),
];
