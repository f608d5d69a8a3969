import type { LabelSelector } from "@coracle/api/meta/v1";
import { invalidValue, required, forbiddenField, type FieldError } from "../errors/field-error.ts";
import { badRequest } from "../errors/status-error.ts";
import { isLabelValue, isQualifiedName } from "../validation/names.ts";

export type Labels = Readonly<Record<string, string>>;
type Operator = "=" | "==" | "!=" | "in" | "notin" | "exists" | "!" | "gt" | "lt";

/** One term of a selector. */
export interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

/** A compiled selector. */
export interface Selector {
  /** All must hold; none for the selector of everything. */
  readonly requirements: readonly Requirement[];
  /** True when nothing can match: a null LabelSelector. */
  readonly matchesNothing: boolean;
  matches(labels: Labels | undefined): boolean;
  /** The canonical text: sorted by key, as query parameters and `status.selector` have it. */
  toString(): string;
}

const NO_LABELS: Labels = {};

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  // What every object inherits is no text.
  const found: unknown = labels[key];
  const value = typeof found === "string" ? found : undefined;
  switch (operator) {
    case "=":
    case "==":
      return value === values[0];
    case "!=":
    case "notin":
      return value === undefined || !values.includes(value);
    case "in":
      return value !== undefined && values.includes(value);
    case "exists":
      return value !== undefined;
    case "!":
      return value === undefined;
    case "gt":
    case "lt": {
      if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
      const [left, right] = [BigInt(value), BigInt(values[0] ?? "0")];
      return operator === "gt" ? left > right : left < right;
    }
  }
}

function printRequirement({ key, operator, values }: Requirement): string {
  switch (operator) {
    case "exists":
      return key;
    case "!":
      return `!${key}`;
    case "in":
    case "notin":
      return `${key} ${operator} (${[...values].sort().join(",")})`;
    case "gt":
      return `${key}>${values[0]}`;
    case "lt":
      return `${key}<${values[0]}`;
    default:
      return `${key}${operator}${values[0]}`;
  }
}

/** A selector out of terms that are known to be valid. */
export function selectorOf(requirements: readonly Requirement[], matchesNothing = false): Selector {
  const sorted = [...requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return {
    requirements: sorted,
    matchesNothing,
    matches(labels) {
      if (matchesNothing) return false;
      for (const requirement of sorted) if (!holds(requirement, labels ?? NO_LABELS)) return false;
      return true;
    },
    toString: () => sorted.map(printRequirement).join(","),
  };
}

/** Matches every object. */
export const everything: Selector = selectorOf([]);
/** Matches no object. */
export const nothing: Selector = selectorOf([], true);

/** The selector of exactly these labels: `spec.selector` of services and replication controllers. */
export function selectorFromLabels(labels: Labels | undefined): Selector {
  return selectorOf(Object.entries(labels ?? {}).map(([key, value]) => ({ key, operator: "=", values: [value] })));
}

const OPERATORS: Readonly<Record<string, Operator>> = { In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "!" };

/** Compiles a LabelSelector object: absent selects nothing, empty everything. Throws a StatusError for a bad one. */
export function compileLabelSelector(selector: LabelSelector | null | undefined): Selector {
  if (selector === undefined || selector === null) return nothing;
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    requirements.push({ key, operator: "=", values: [value] });
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const known = OPERATORS[operator];
    if (known === undefined) throw badRequest(`"${operator}" is not a valid label selector operator`);
    requirements.push({ key, operator: known, values: values ?? [] });
  }
  return requirements.length === 0 ? everything : selectorOf(requirements);
}

/** What is wrong with a LabelSelector object, by field. */
export function validateLabelSelector(
  selector: LabelSelector | undefined,
  field: string,
  options: { readonly allowInvalidValues?: boolean } = {},
): FieldError[] {
  const errors: FieldError[] = [];
  if (selector === undefined) return errors;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    for (const message of isQualifiedName(key)) errors.push(invalidValue(`${field}.matchLabels`, key, message));
    if (options.allowInvalidValues !== true) {
      for (const message of isLabelValue(value)) errors.push(invalidValue(`${field}.matchLabels`, value, message));
    }
  }
  (selector.matchExpressions ?? []).forEach((expression, i) => {
    const at = `${field}.matchExpressions[${i}]`;
    const values = expression.values ?? [];
    switch (expression.operator) {
      case "In":
      case "NotIn":
        if (values.length === 0) {
          errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        break;
      case "Exists":
      case "DoesNotExist":
        if (values.length > 0) {
          errors.push(
            forbiddenField(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
          );
        }
        break;
      default:
        errors.push(invalidValue(`${at}.operator`, expression.operator ?? "", "not a valid selector operator"));
    }
    for (const message of isQualifiedName(expression.key)) {
      errors.push(invalidValue(`${at}.key`, expression.key, message));
    }
    if (options.allowInvalidValues !== true) {
      values.forEach((value, j) => {
        for (const message of isLabelValue(value)) errors.push(invalidValue(`${at}.values[${j}]`, value, message));
      });
    }
  });
  return errors;
}

const cannotParse = (why: string): Error => badRequest(`unable to parse requirement: ${why}`);

/**
 * Parses the query form: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`. Empty text selects everything.
 * Throws a StatusError of code 400.
 */
export function parseLabelSelector(text: string): Selector {
  const lexer = new Lexer(text);
  const requirements: Requirement[] = [];
  if (lexer.peek() === "") return everything;
  for (;;) {
    requirements.push(readRequirement(lexer));
    const next = lexer.next();
    if (next === "") break;
    if (next !== ",") throw badRequest(`found '${next}', expected: ',' or 'end of string'`);
    if (lexer.peek() === "" || lexer.peek() === ",") {
      throw badRequest(`found '${lexer.peek()}', expected: identifier after ','`);
    }
  }
  return selectorOf(requirements);
}

function readRequirement(lexer: Lexer): Requirement {
  let token = lexer.next();
  const isNegated = token === "!";
  if (isNegated) token = lexer.next();
  if (token === "" || isSymbol(token))
    throw badRequest(`found '${token}', expected: !, identifier, or 'end of string'`);
  const key = token;
  checkKey(key);
  if (isNegated) return { key, operator: "!", values: [] };
  const operator = lexer.peek();
  if (operator === "" || operator === ",") return { key, operator: "exists", values: [] };
  lexer.next();
  switch (operator) {
    case "in":
    case "notin":
      return checked({ key, operator, values: readValues(lexer) });
    case "=":
    case "==":
    case "!=":
      return checked({ key, operator, values: [readValue(lexer)] });
    case ">":
    case "<":
      return checked({ key, operator: operator === ">" ? "gt" : "lt", values: [readValue(lexer)] });
    default:
      throw cannotParse(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
  }
}

function checkKey(key: string): void {
  const errors = isQualifiedName(key);
  if (errors.length > 0) throw cannotParse(`<nil>: Invalid value: ${JSON.stringify(key)}: ${errors.join("; ")}`);
}

function checked(requirement: Requirement): Requirement {
  const { key, operator, values } = requirement;
  values.forEach((value, i) => {
    if (operator === "gt" || operator === "lt") {
      if (!/^[+-]?\d+$/.test(value)) {
        throw cannotParse(
          `values[${i}]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
        );
      }
      return;
    }
    const errors = isLabelValue(value);
    if (errors.length > 0)
      throw cannotParse(`values[${i}][${key}]: Invalid value: ${JSON.stringify(value)}: ${errors.join("; ")}`);
  });
  return requirement;
}

function readValue(lexer: Lexer): string {
  const next = lexer.peek();
  // `a=` selects the empty value.
  if (next === "" || next === ",") return "";
  if (isSymbol(next)) throw cannotParse(`found '${next}', expected: identifier`);
  return lexer.next();
}

function readValues(lexer: Lexer): string[] {
  const open = lexer.next();
  if (open !== "(") throw cannotParse(`found '${open}' expected: '('`);
  const values: string[] = [];
  for (;;) {
    const next = lexer.next();
    if (next === ")") {
      values.push("");
      return values;
    }
    if (next === ",") {
      values.push("");
      continue;
    }
    if (next === "" || isSymbol(next)) throw cannotParse(`found '${next}', expected: ',', ')' or identifier`);
    values.push(next);
    const after = lexer.next();
    if (after === ")") return values;
    if (after !== ",") throw cannotParse(`found '${after}', expected: ',' or ')'`);
  }
}

const SYMBOLS = new Set(["(", ")", ",", "!", "=", "==", "!=", ">", "<"]);
const isSymbol = (token: string): boolean => SYMBOLS.has(token);

class Lexer {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = text.match(/==|!=|[()=!<>,]|[^\s()=!<>,]+/g) ?? [];
  }

  /** The next token, `""` at the end. */
  peek(): string {
    return this.#tokens[this.#at] ?? "";
  }

  next(): string {
    return this.#tokens[this.#at++] ?? "";
  }
}
