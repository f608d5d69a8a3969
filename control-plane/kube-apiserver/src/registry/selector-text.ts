import { badRequest, type JsonObject } from "@coracle/apimachinery";

/** One term of a field selector. */
export interface FieldTerm {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/** Terms of `a=b,c!=d`. */
export function parseFieldSelector(text: string): readonly FieldTerm[] {
  return text
    .split(/(?<!\\),/)
    .filter((part) => part !== "")
    .map((part) => {
      const match = /^([^=!]*)(!=|==|=)(.*)$/s.exec(part);
      if (match === null)
        throw badRequest(`invalid field selector: invalid selector: '${text}'; can't understand '${part}'`);
      const [, field = "", operator = "", value = ""] = match;
      return { field, operator: operator === "!=" ? "!=" : "=", value: value.replace(/\\([\\,=])/g, "$1") };
    });
}

type Labels = JsonObject;

/** A test for labels. */
export function parseLabelSelector(text: string): (labels: Labels) => boolean {
  const terms = text.split(/,(?![^(]*\))/).map((part) => parseTerm(part.trim(), text));
  return (labels) => terms.every((term) => term(labels));
}

function parseTerm(part: string, whole: string): (labels: Labels) => boolean {
  const set = /^([^\s!=]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = new Set(list.split(",").map((value) => value.trim()));
    if (operator === "in") return (labels) => labels[key] !== undefined && values.has(labels[key] as string);
    return (labels) => labels[key] === undefined || !values.has(labels[key] as string);
  }
  const equality = /^([^\s!=<>]+)\s*(==|=|!=)\s*([^\s!=<>]*)$/.exec(part);
  if (equality !== null) {
    const [, key = "", operator, value] = equality;
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = /^(!?)\s*([^\s!=<>()]+)$/.exec(part);
  if (exists === null) throw badRequest(`unable to parse requirement: found '${part}' in '${whole}'`);
  const [, not, key = ""] = exists;
  return not === "!" ? (labels) => labels[key] === undefined : (labels) => labels[key] !== undefined;
}
