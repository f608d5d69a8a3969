import { parseYamlDocument } from "@coracle/api";

/** What is expected of a member of an answer. */
export type ExpectedType = "string" | "bool" | "int32" | "bytes" | "object" | "stringMap" | "strings";

/** Go's names of the types, as its decoder says them. */
const GO_TYPES: Readonly<Record<ExpectedType, string>> = {
  string: "string",
  bool: "bool",
  int32: "int32",
  bytes: "[]uint8",
  object: "struct",
  stringMap: "map[string]string",
  strings: "[]string",
};

const formOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;

const isStruct = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

function fits(value: unknown, type: ExpectedType): boolean {
  switch (type) {
    case "string":
    case "bytes":
      return typeof value === "string";
    case "bool":
      return typeof value === "boolean";
    case "int32":
      return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 31;
    case "object":
    case "stringMap":
      return isStruct(value);
    case "strings":
      return Array.isArray(value);
  }
}

const mismatch = (value: unknown, place: string, type: string): Error =>
  new Error(`json: cannot unmarshal ${formOf(value)} into Go struct field ${place} of type ${type}`);

/**
 * Checks the forms of an object's members. Throws an Error in the words of upstream's decoder. `struct` and `path` name
 * the object, `types` name Go's types where they have a name.
 */
export function checkMembers(
  object: Readonly<Record<string, unknown>>,
  members: Readonly<Record<string, ExpectedType | readonly [ExpectedType, string]>>,
  struct: string,
  path: string,
): void {
  for (const [name, expected] of Object.entries(members)) {
    const value = object[name];
    if (value === undefined || value === null) continue;
    const [type, goType] = typeof expected === "string" ? [expected, GO_TYPES[expected]] : expected;
    const place = `${struct}.${path}${name}`;
    if (!fits(value, type)) throw mismatch(value, place, goType);
    const items = type === "stringMap" ? Object.values(value) : type === "strings" ? (value as unknown[]) : [];
    for (const item of items) if (item !== null && typeof item !== "string") throw mismatch(item, place, "string");
    if (type === "bytes") checkBase64(value as string);
  }
}

function checkBase64(text: string): void {
  const bad = /[^A-Za-z0-9+/\r\n]/.exec(text.replace(/={1,2}$/, ""));
  if (bad !== null) throw new Error(`illegal base64 data at input byte ${bad.index}`);
}

const LITERALS: Readonly<Record<string, string>> = { n: "null", t: "true", f: "false" };

/** What upstream's JSON parser says of a text that is none. */
export function jsonFaultOf(text: string): string {
  let at = 0;
  while (" \t\r\n".includes(text[at] ?? "x")) at++;
  const literal = LITERALS[text[at] ?? ""];
  if (literal !== undefined) {
    for (let i = 0; i < literal.length; i++) {
      const letter = literal.charAt(i);
      const found = text[at + i];
      if (found === undefined) return "unexpected end of JSON input";
      if (found !== letter) return `invalid character '${found}' in literal ${literal} (expecting '${letter}')`;
    }
  }
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    const { message } = error as Error;
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? NaN);
    if (/unexpected end|unterminated string/i.test(message) || position >= text.trimEnd().length) {
      return "unexpected end of JSON input";
    }
    const place = PLACES.find(([pattern]) => pattern.test(message))?.[1] ?? "looking for beginning of value";
    const character = Number.isNaN(position)
      ? (/Unexpected token '(.)'/u.exec(message)?.[1] ?? text[at])
      : text[position];
    return `invalid character '${character ?? ""}' ${place}`;
  }
}

const PLACES: readonly (readonly [RegExp, string])[] = [
  [/non-whitespace character after JSON/, "after top-level value"],
  [/property name/, "looking for beginning of object key string"],
  [/',' or '}'/, "after object key:value pair"],
  [/',' or ']'/, "after array element"],
  [/':' after/, "after object key"],
];

const NOT_AN_OBJECT =
  'Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

/**
 * Reads an object as upstream's decoder does: JSON when it begins like an object, else YAML. Nothing at all is an
 * object without members. Throws an Error with upstream's text.
 */
export async function readAnswer(text: string): Promise<Record<string, unknown>> {
  const fail = (why: string, cause?: unknown): Error =>
    new Error(`couldn't get version/kind; json parse error: ${why}`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (text.trimStart().startsWith("{")) throw fail(jsonFaultOf(text), error);
    try {
      value = await parseYamlDocument(text);
    } catch (fault) {
      throw fail((fault as Error).message.split("\n", 1)[0] ?? "", fault);
    }
  }
  if (value === null || value === undefined) return {};
  if (!isStruct(value)) throw fail(`json: cannot unmarshal ${formOf(value)} into ${NOT_AN_OBJECT}`);
  const object = value as Record<string, unknown>;
  for (const [member, name] of [
    ["apiVersion", "apiVersion"],
    ["kind", "kind"],
  ] as const) {
    const found = object[member];
    if (found === undefined || found === null || typeof found === "string") continue;
    throw fail(`json: cannot unmarshal ${formOf(found)} into Go struct field .${name} of type string`);
  }
  return object;
}
