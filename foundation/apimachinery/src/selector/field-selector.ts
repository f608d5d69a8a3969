import { badRequest } from "../errors/status-error.ts";

/** One term of a field selector. */
export interface FieldRequirement {
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/** A parsed field selector: all terms must hold. */
export interface FieldSelector {
  readonly requirements: readonly FieldRequirement[];
  /** Evaluates with `read` giving a field's value, `""` for an unset one. */
  matches(read: (field: string) => string): boolean;
  /** The value that a field must have, when a term says so: for indexes. */
  exact(field: string): string | undefined;
  toString(): string;
}

export function fieldSelectorOf(requirements: readonly FieldRequirement[]): FieldSelector {
  return {
    requirements,
    matches: (read) => requirements.every((each) => (read(each.field) === each.value) === (each.operator === "=")),
    exact: (field) => requirements.find((each) => each.field === field && each.operator === "=")?.value,
    toString: () =>
      requirements.map((each) => `${each.field}${each.operator}${each.value.replace(/[\\,=]/g, "\\$&")}`).join(","),
  };
}

/** Parses `metadata.name=a,status.phase!=Running`; a backslash escapes `,`, `=` and itself. Throws a StatusError of code 400. */
export function parseFieldSelector(text: string): FieldSelector {
  const requirements: FieldRequirement[] = [];
  for (const term of splitTerms(text)) {
    if (term === "") continue;
    const match = /^((?:\\.|[^\\=!])*?)(!=|==|=)(.*)$/s.exec(term);
    const [, field = "", operator = "", value = ""] = match ?? [];
    if (match === null) {
      throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    }
    requirements.push({ field, operator: operator === "!=" ? "!=" : "=", value: unescape(value, text) });
  }
  return fieldSelectorOf(requirements);
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let term = "";
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (character === "\\") term += character + (text[++i] ?? "");
    else if (character === ",") {
      terms.push(term);
      term = "";
    } else term += character;
  }
  terms.push(term);
  return terms;
}

function unescape(value: string, text: string): string {
  let out = "";
  for (let i = 0; i < value.length; i++) {
    const character = value[i] as string;
    if (character === "\\") {
      const next = value[++i];
      if (next === undefined || !"\\,=".includes(next))
        throw badRequest(`invalid field selector: invalid escape sequence in '${text}'`);
      out += next;
    } else if (character === "=")
      throw badRequest(`invalid field selector: unescaped character in value: ${character.codePointAt(0)}`);
    else out += character;
  }
  return out;
}

/** Refuses terms on fields that the kind cannot be selected by. Throws a StatusError of code 400. */
export function checkFieldLabels(selector: FieldSelector, supported: (field: string) => boolean): void {
  for (const { field } of selector.requirements) {
    if (!supported(field)) throw badRequest(`field label not supported: ${field}`);
  }
}
