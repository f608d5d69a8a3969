import { resolvePlainScalar } from "./quick-scalar.ts";

/** Text of one line that needs no quotes wherever it stands: nothing in it stands for anything. */
const PLAIN = /^[A-Za-z0-9_./\\$()~^;+-](?:[A-Za-z0-9_./\\$()~^;+@%*&!|<>=?"'[\]{}-]|,(?! *$)|:(?=[^ ])| (?=[^ #]))*$/;
/** What old readers take for a time, or for a number to the base of 60. */
const OLD_TYPES =
  /^(?:\d{4}-\d\d?-\d\d?(?:[Tt ].*)?|[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?|(?!\.$)[-+]?[\d_]*\.[\d_]*)$/;
/** Characters that only escapes can name, and beginnings of what has a meaning at a line's start. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const NEEDS_ESCAPES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]/;
const IS_LITERAL = /^[^\s#](?:.*[^ \t])?(?:\n+|$)/;
const LONGEST_NAME = 128;
const MARKER = /^(?:---|\.\.\.|-|\?|:)(?: |$)/;

function scalar(text: string, indent: string): string {
  if (
    text.length > 0 &&
    PLAIN.test(text) &&
    resolvePlainScalar(text) === text &&
    !MARKER.test(text) &&
    !OLD_TYPES.test(text)
  )
    return text;
  if (NEEDS_ESCAPES.test(text)) return escaped(text);
  if (text.includes("\n")) return isBlock(text) ? block(text, indent) : escaped(text);
  if (text.includes("\t") || resolvePlainScalar(text) !== text || OLD_TYPES.test(text)) return escaped(text);
  return `'${text.replaceAll("'", "''")}'`;
}

/** JSON's escapes are YAML's; what readers may not take as it is is named. */
const escaped = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** A block's indentation is that of its first line, and spaces at an end are easily lost. */
const isBlock = (text: string): boolean => IS_LITERAL.test(text) && !/[ \t](?:\n|$)/.test(text);

function block(text: string, indent: string): string {
  const chomping = !text.endsWith("\n") ? "-" : text.endsWith("\n\n") ? "+" : "";
  const lines = (chomping === "-" ? text : text.slice(0, -1)).split("\n");
  return `|${chomping}\n${lines.map((line) => (line === "" ? "" : indent + line)).join("\n")}`;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

class Writer {
  readonly #parts: string[] = [];

  /** A value behind `name:`, with the end of its line. `indent`: that of the name. */
  #member(value: unknown, indent: string): void {
    if (Array.isArray(value) && value.length > 0) {
      this.#parts.push("\n");
      this.#items(value, indent, indent);
    } else if (isMap(value) && namesOf(value).length > 0) {
      this.#parts.push("\n");
      this.#members(value, `${indent}  `, `${indent}  `);
    } else this.#parts.push(" ", leaf(value, `${indent}  `), "\n");
  }

  /** `first`: what the first line begins with yet, behind a dash nothing. */
  #members(map: Readonly<Record<string, unknown>>, indent: string, first: string): void {
    let before = first;
    for (const name of namesOf(map)) {
      this.#parts.push(before, nameText(name, indent), ":");
      this.#member(map[name], indent);
      before = indent;
    }
  }

  #items(list: readonly unknown[], indent: string, first: string): void {
    let before = first;
    for (const item of list) {
      this.#parts.push(before, "- ");
      const inside = `${indent}  `;
      if (Array.isArray(item) && item.length > 0) this.#items(item, inside, "");
      else if (isMap(item) && namesOf(item).length > 0) this.#members(item, inside, "");
      else this.#parts.push(leaf(item, inside), "\n");
      before = indent;
    }
  }

  write(value: unknown): string {
    if (Array.isArray(value) && value.length > 0) this.#items(value, "", "");
    else if (isMap(value) && namesOf(value).length > 0) this.#members(value, "", "");
    else this.#parts.push(leaf(value, "  "), "\n");
    return this.#parts.join("");
  }
}

const namesOf = (map: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(map)
    .filter((name) => map[name] !== undefined)
    .sort();

/** Names are of one line; long ones in the form in which a reader need not look ahead. */
function nameText(name: string, indent: string): string {
  const text = name.includes("\n") ? escaped(name) : scalar(name, "");
  return text.length > LONGEST_NAME ? `? ${text}\n${indent}` : text;
}

function leaf(value: unknown, indent: string): string {
  if (typeof value === "string") return scalar(value, indent);
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "[]";
  return typeof value === "object" ? "{}" : JSON.stringify(value);
}

/**
 * Writes a JSON value as YAML in time linear in its length: members in order, lists not indented, lines not folded,
 * texts of several lines as they are. What reads as anything but text is quoted.
 */
export function writeYaml(value: unknown): string {
  return new Writer().write(value);
}
