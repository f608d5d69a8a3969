import {
  isLabelValue,
  isQualifiedName,
  nameIsDns1035Label,
  nameIsDns1123Label,
  nameIsDns1123Subdomain,
} from "@coracle/apimachinery";
import type { FunctionDeclaration } from "../check/environment.ts";
import { STRING, listType, objectType, optionalType } from "../types/cel-type.ts";
import { parseRfc3339 } from "../values/time.ts";
import { ArrayList, CelOpaque, CelOptional, OPTIONAL_NONE } from "../values/value.ts";
import { define, member, overload } from "./define.ts";
import { parseRequestUri } from "./go-url.ts";

const FORMAT = objectType("kubernetes.NamedFormat");

class FormatValue extends CelOpaque {
  readonly type = FORMAT;
  readonly name: string;
  readonly validate: (text: string) => readonly string[];
  /** How long the pattern behind it counts as, for its cost. */
  readonly maxRegexSize: number;
  constructor(name: string, maxRegexSize: number, validate: (text: string) => readonly string[]) {
    super();
    this.name = name;
    this.maxRegexSize = maxRegexSize;
    this.validate = validate;
  }
  equals(other: CelOpaque): boolean {
    return other instanceof FormatValue && other.name === this.name;
  }
}

function simple(isValid: (text: string) => boolean, complaint: string) {
  return (text: string): readonly string[] => (isValid(text) ? [] : [complaint]);
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;

function isDate(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && parseRfc3339(`${text}T00:00:00Z`) !== undefined;
}

function isDateTime(text: string): boolean {
  return parseRfc3339(text.replace(/t/, "T").replace(/z$/, "Z")) !== undefined;
}

const FORMATS: ReadonlyMap<string, FormatValue> = new Map(
  [
    ["dns1123Label", "DNS1123Label", 30, (text: string) => nameIsDns1123Label(text, false)],
    ["dns1123Subdomain", "DNS1123Subdomain", 60, (text: string) => nameIsDns1123Subdomain(text, false)],
    ["dns1035Label", "DNS1035Label", 30, (text: string) => nameIsDns1035Label(text, false)],
    ["qualifiedName", "QualifiedName", 60, isQualifiedName],
    ["dns1123LabelPrefix", "DNS1123LabelPrefix", 30, (text: string) => nameIsDns1123Label(text, true)],
    ["dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60, (text: string) => nameIsDns1123Subdomain(text, true)],
    ["dns1035LabelPrefix", "DNS1035LabelPrefix", 30, (text: string) => nameIsDns1035Label(text, true)],
    ["labelValue", "LabelValue", 40, isLabelValue],
    [
      "uri",
      "URI",
      1103,
      (text: string) => {
        const url = parseRequestUri(text);
        return typeof url === "string" ? [url] : [];
      },
    ],
    ["uuid", "uuid", 72, simple((text) => UUID.test(text), "does not match the UUID format")],
    ["byte", "byte", 84, simple((text) => BASE64.test(text), "invalid base64")],
    ["date", "date", 72, simple(isDate, "invalid date")],
    ["datetime", "datetime", 72, simple(isDateTime, "invalid datetime")],
  ].map(([key, name, size, validate]) => [
    key as string,
    new FormatValue(name as string, size as number, validate as FormatValue["validate"]),
  ]),
);

/** The functions of named formats. */
export const NAMED_FORMATS: readonly FunctionDeclaration[] = [
  define(
    "validate",
    member("format-validate", [FORMAT, STRING], optionalType(listType(STRING)), ([format, text]) => {
      const problems = (format as FormatValue).validate(text as string);
      return problems.length === 0 ? OPTIONAL_NONE : new CelOptional(new ArrayList([...problems]));
    }),
  ),
  define(
    "format.named",
    overload("format-named", [STRING], optionalType(FORMAT), ([name]) => {
      const format = FORMATS.get(name as string);
      return format === undefined ? OPTIONAL_NONE : new CelOptional(format);
    }),
  ),
  ...[...FORMATS].map(([name, format]) =>
    define(
      `format.${name}`,
      overload(`format.${name}`, [], FORMAT, () => format),
    ),
  ),
];

/** `jsonpatch.escapeKey`, which only mutations have. */
export const JSON_PATCH: readonly FunctionDeclaration[] = [
  define(
    "jsonpatch.escapeKey",
    overload("string_jsonpatch_escapeKey_string", [STRING], STRING, ([key]) =>
      (key as string).replaceAll(/[~/]/g, (char) => (char === "~" ? "~0" : "~1")),
    ),
  ),
];
