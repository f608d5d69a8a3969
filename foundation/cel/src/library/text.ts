import type { FunctionDeclaration } from "../check/environment.ts";
import { DYN, INT, STRING, listType } from "../types/cel-type.ts";
import { ArrayList, CelError, type CelList, codePoints, displayValue, type CelValue } from "../values/value.ts";
import { define, member, overload } from "./define.ts";
import { formatText } from "./format-text.ts";

const OUT_OF_RANGE = (index: CelValue): CelError => new CelError(`index out of range: ${displayValue(index)}`);

function charAt([text, index]: readonly CelValue[]): CelValue {
  const points = Array.from(text as string);
  const at = Number(index);
  return at < 0 || at > points.length ? OUT_OF_RANGE(index!) : (points[at] ?? "");
}

function indexOf([text, part, offset = 0]: readonly CelValue[]): CelValue {
  if (part === "") return offset;
  const points = Array.from(text as string);
  const from = Number(offset);
  if (from < 0) return OUT_OF_RANGE(offset);
  if (from >= points.length) return -1;
  const before = points.slice(0, from).join("").length;
  const found = (text as string).indexOf(part as string, before);
  return found === -1 ? -1 : codePoints((text as string).slice(0, found));
}

function lastIndexOf([text, part, offset]: readonly CelValue[]): CelValue {
  const points = Array.from(text as string);
  if (part === "") return offset ?? points.length;
  const wanted = Array.from(part as string);
  if (offset === undefined && Buffer.byteLength(text as string) < Buffer.byteLength(part as string)) return -1;
  const last = offset === undefined ? points.length - 1 : Number(offset);
  if (last < 0) return OUT_OF_RANGE(offset ?? last);
  if (last >= points.length) return -1;
  for (let at = Math.min(last, points.length - wanted.length); at >= 0; at--) {
    if (wanted.every((point, index) => points[at + index] === point)) return at;
  }
  return -1;
}

function replace([text, old, fresh, limit = -1]: readonly CelValue[]): CelValue {
  let left = Number(limit);
  if (left === 0) return text!;
  if (left < 0) left = Number.POSITIVE_INFINITY;
  if (old === "") {
    const points = Array.from(text as string);
    let result = "";
    points.forEach((point, index) => {
      result += index < left ? `${fresh as string}${point}` : point;
    });
    return points.length < left ? result + (fresh as string) : result;
  }
  const parts = (text as string).split(old as string);
  if (parts.length - 1 <= left) return parts.join(fresh as string);
  return parts.slice(0, left + 1).join(fresh as string) + (old as string) + parts.slice(left + 1).join(old as string);
}

function split([text, separator, limit = -1]: readonly CelValue[]): CelValue {
  const most = Number(limit);
  if (most === 0) return new ArrayList([]);
  const parts = separator === "" ? Array.from(text as string) : (text as string).split(separator as string);
  if (most < 0 || parts.length <= most) return new ArrayList(parts);
  return new ArrayList([...parts.slice(0, most - 1), parts.slice(most - 1).join(separator as string)]);
}

function substring([text, start, end]: readonly CelValue[]): CelValue {
  const points = Array.from(text as string);
  if (end !== undefined && Number(start) > Number(end)) {
    return new CelError(`invalid substring range. start: ${displayValue(start!)}, end: ${displayValue(end)}`);
  }
  if (Number(start) < 0 || Number(start) > points.length) return OUT_OF_RANGE(start!);
  if (end === undefined) return points.slice(Number(start)).join("");
  if (Number(end) < 0 || Number(end) > points.length) return OUT_OF_RANGE(end);
  return points.slice(Number(start), Number(end)).join("");
}

function join([list, separator = ""]: readonly CelValue[]): CelValue {
  const parts: string[] = [];
  for (let index = 0; index < (list as CelList).size; index++) {
    const part = (list as CelList).at(index);
    if (typeof part !== "string") return new CelError(`join: invalid input: ${displayValue(part)}`);
    parts.push(part);
  }
  return parts.join(separator as string);
}

const QUOTES: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

function quote([text]: readonly CelValue[]): CelValue {
  // eslint-disable-next-line no-control-regex -- the escapes of the language are control characters
  return `"${(text as string).replaceAll(/[\u0007\b\f\n\r\t\v\\"]/g, (char) => QUOTES[char]!)}"`;
}

/** Go's white space: trim() of JavaScript also takes U+FEFF and leaves U+0085. */
const TRIMMED =
  /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;

/** The functions of text, as version 2 of the library has them. */
export const TEXT: readonly FunctionDeclaration[] = [
  define("charAt", member("string_char_at_int", [STRING, INT], STRING, charAt)),
  define(
    "indexOf",
    member("string_index_of_string", [STRING, STRING], INT, indexOf),
    member("string_index_of_string_int", [STRING, STRING, INT], INT, indexOf),
  ),
  define(
    "lastIndexOf",
    member("string_last_index_of_string", [STRING, STRING], INT, lastIndexOf),
    member("string_last_index_of_string_int", [STRING, STRING, INT], INT, lastIndexOf),
  ),
  define(
    "lowerAscii",
    member("string_lower_ascii", [STRING], STRING, ([text]) =>
      (text as string).replaceAll(/[A-Z]+/g, (part) => part.toLowerCase()),
    ),
  ),
  define(
    "upperAscii",
    member("string_upper_ascii", [STRING], STRING, ([text]) =>
      (text as string).replaceAll(/[a-z]+/g, (part) => part.toUpperCase()),
    ),
  ),
  define(
    "replace",
    member("string_replace_string_string", [STRING, STRING, STRING], STRING, replace),
    member("string_replace_string_string_int", [STRING, STRING, STRING, INT], STRING, replace),
  ),
  define(
    "split",
    member("string_split_string", [STRING, STRING], listType(STRING), split),
    member("string_split_string_int", [STRING, STRING, INT], listType(STRING), split),
  ),
  define(
    "substring",
    member("string_substring_int", [STRING, INT], STRING, substring),
    member("string_substring_int_int", [STRING, INT, INT], STRING, substring),
  ),
  define(
    "trim",
    member("string_trim", [STRING], STRING, ([text]) => (text as string).replaceAll(TRIMMED, "")),
  ),
  define(
    "format",
    member("string_format", [STRING, listType(DYN)], STRING, ([text, args]) =>
      formatText(text as string, args as CelList),
    ),
  ),
  define("strings.quote", overload("strings_quote", [STRING], STRING, quote)),
  define(
    "join",
    member("list_join", [listType(STRING)], STRING, join),
    member("list_join_string", [listType(STRING), STRING], STRING, join),
  ),
];
