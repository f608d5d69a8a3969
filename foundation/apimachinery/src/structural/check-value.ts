import {
  invalidValue,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
  type FieldError,
} from "../errors/field-error.ts";
import { equalJson } from "../json/json.ts";
import type { Correlation } from "./correlation.ts";
import { formatCheck, isKnownFormat } from "./formats.ts";
import { ownMember } from "./own-member.ts";
import { compilePattern, patternProblem } from "./patterns.ts";
import type { Bounds, StructuralNode } from "./structural-node.ts";

/**
 * What the schema's keywords say against a value. `at`: where the value is, as errors name it; undefined for the whole
 * object. `before`: the value's correlation with the one it replaces; what did not change may be invalid.
 */
export function checkValue(node: StructuralNode, value: unknown, at?: string, before?: Correlation): FieldError[] {
  const checker = new Checker(node, at, undefined);
  checker.value(node, value, undefined);
  // Nearly all objects are good: only the others need the second look.
  if (before === undefined || checker.errors.length === 0) return checker.errors;
  const again = new Checker(node, at, before);
  again.value(node, value, before);
  return again.errors;
}

class Checker {
  errors: FieldError[] = [];
  readonly #root: StructuralNode;
  readonly #at: string | undefined;
  readonly #ratchets: boolean;
  readonly #path: (string | number)[] = [];
  /** How many checks were made: which alternative of several bad ones is told of depends on it. */
  #count = 0;

  constructor(root: StructuralNode, at: string | undefined, before: Correlation | undefined) {
    this.#root = root;
    this.#at = at;
    this.#ratchets = before !== undefined;
  }

  /** Errors of what has not changed are forgotten. */
  value(node: StructuralNode, value: unknown, before: Correlation | undefined): void {
    const found = this.errors.length;
    this.#check(node, value, before);
    if (this.#ratchets && this.errors.length > found && before?.isUnchanged === true) this.errors.length = found;
  }

  #check(node: StructuralNode, value: unknown, before: Correlation | undefined): void {
    if (value === null || value === undefined) {
      if (hasType(node) && !node.nullable) this.#typeError(typesText(node), "null");
      else this.#count++;
      this.#enum(node.bounds?.enum, value);
      return;
    }
    const { bounds } = node;
    if (fitsPlainly(node, value, bounds)) this.#count += 2;
    else this.#type(node, value, bounds?.format ?? "");
    this.#combinations(node, value);
    // What each kind of check counts upstream.
    this.#count += 4;
    if (typeof value === "string") {
      this.#count++;
      if (bounds !== undefined) this.#string(bounds, value);
    } else if (typeof value === "number") {
      this.#count += 2;
      if (bounds !== undefined) this.#number(bounds, value);
    } else if (Array.isArray(value)) {
      this.#count += 2;
      this.#array(node, value, before);
    }
    this.#enum(bounds?.enum, value);
    if (typeof value !== "object" || Array.isArray(value)) return;
    this.#count++;
    this.#object(node, value as Readonly<Record<string, unknown>>, before);
  }

  #type(node: StructuralNode, value: unknown, format: string): void {
    const known = format !== "" && isKnownFormat(format) ? format : "";
    if (!hasType(node) && known === "") return;
    this.#count += 2;
    const actual = jsonType(value);
    const isAccepted = accepts(node, actual, value);
    if (typeof value !== "string" && !Array.isArray(value) && known !== "" && !isAccepted) {
      this.#count--;
      this.#typeError(known, NUMBER_FORMATS[actual] ?? "");
      return;
    }
    const isNumeric = node.isIntOrString || node.type === "integer" || node.type === "number";
    // A format speaks for the type of texts (and, upstream being lenient, of lists).
    if (!isNumeric && known !== "" && (typeof value === "string" || Array.isArray(value))) return;
    if (isAccepted) return;
    this.#count--;
    this.#typeError(typesText(node), actual);
  }

  #typeError(expected: string, actual: string): void {
    const path = this.#pathText();
    this.#add((field) =>
      typeInvalid(field, actual, `${path} in body must be of type ${expected}: ${JSON.stringify(actual)}`),
    );
  }

  /** allOf, anyOf, oneOf, not. */
  #combinations(node: StructuralNode, value: unknown): void {
    if (node.anyOf.length > 0) this.#anyOf(node.anyOf, value);
    if (node.oneOf.length > 0) this.#oneOf(node.oneOf, value);
    if (node.allOf.length > 0) this.#allOf(node.allOf, value);
    if (node.not !== undefined && this.#attempt(node.not, value).errors.length === 0)
      this.#problem(`${this.#quoted()} must not validate the schema (not)`);
  }

  #attempt(node: StructuralNode, value: unknown): Attempt {
    const { errors } = this;
    const count = this.#count;
    this.errors = [];
    this.#count = 0;
    // Nothing is forgiven in here: alternatives are judged as for a new object.
    this.#check(node, value, undefined);
    const attempt = { errors: this.errors, count: this.#count };
    this.errors = errors;
    this.#count = count;
    return attempt;
  }

  #take(attempt: Attempt | undefined): void {
    if (attempt === undefined) return;
    this.errors.push(...attempt.errors);
    this.#count += attempt.count;
  }

  #anyOf(nodes: readonly StructuralNode[], value: unknown): void {
    let best: Attempt | undefined;
    for (const node of nodes) {
      const attempt = this.#attempt(node, value);
      if (attempt.errors.length === 0) {
        this.#take(attempt);
        return;
      }
      if (best === undefined || attempt.count > best.count) best = attempt;
    }
    this.#problem(`${this.#quoted()} must validate at least one schema (anyOf)`);
    this.#take(best);
  }

  #oneOf(nodes: readonly StructuralNode[], value: unknown): void {
    let best: Attempt | undefined;
    let good: Attempt | undefined;
    let valid = 0;
    for (const node of nodes) {
      const attempt = this.#attempt(node, value);
      if (attempt.errors.length === 0) {
        valid++;
        best = undefined;
        good ??= attempt;
      } else if (valid === 0 && (best === undefined || attempt.count > best.count)) best = attempt;
    }
    if (valid === 1) {
      this.#take(good);
      return;
    }
    const found = valid === 0 ? "Found none valid" : `Found ${valid} valid alternatives`;
    this.#problem(`${this.#quoted()} must validate one and only one schema (oneOf). ${found}`);
    this.#take(best);
  }

  #allOf(nodes: readonly StructuralNode[], value: unknown): void {
    let valid = 0;
    for (const node of nodes) {
      const attempt = this.#attempt(node, value);
      if (attempt.errors.length === 0) valid++;
      this.#take(attempt);
    }
    if (valid < nodes.length)
      this.#problem(`${this.#quoted()} must validate all the schemas (allOf)${valid === 0 ? ". None validated" : ""}`);
  }

  #string(bounds: Bounds, value: string): void {
    const { minLength, maxLength, pattern, format } = bounds;
    const length = minLength === undefined && maxLength === undefined ? 0 : lengthOf(value);
    if (maxLength !== undefined && length > maxLength) this.#add((field) => tooLong(field, maxLength));
    else if (minLength !== undefined && length < minLength)
      this.#invalid(value, `should be at least ${minLength} chars long`);
    else if (pattern !== undefined) this.#pattern(pattern, value);
    if (format === "") return;
    const check = formatCheck(format);
    if (check === undefined) return;
    this.#count++;
    if (!check(value)) {
      const path = this.#pathText();
      this.#add((field) =>
        typeInvalid(field, value, `${path} in body must be of type ${format}: ${JSON.stringify(value)}`),
      );
    }
  }

  #pattern(pattern: string, value: string): void {
    let matches: (text: string) => boolean;
    try {
      matches = compilePattern(pattern);
    } catch {
      const problem = patternProblem(pattern) ?? "";
      this.#invalid(value, `should match '${pattern}, but pattern is invalid: ${problem}'`);
      return;
    }
    if (!matches(value)) this.#invalid(value, `should match '${pattern}'`);
  }

  #number(bounds: Bounds, value: number): void {
    // Whole numbers are compared with whole bounds.
    const limit = (bound: number): number => (isWhole(value) ? Math.trunc(bound) : bound);
    const { multipleOf, minimum, maximum } = bounds;
    if (multipleOf !== undefined) {
      const factor = limit(multipleOf);
      if (factor <= 0)
        this.#add((field) =>
          invalidValue(
            field,
            factor,
            `factor MultipleOf declared for ${this.#pathText()} must be positive: ${goNumber(factor)}`,
          ),
        );
      else if (!isMultiple(value, factor)) this.#invalid(value, `should be a multiple of ${goNumber(factor)}`);
    }
    if (minimum !== undefined) {
      const least = limit(minimum);
      const { exclusiveMinimum } = bounds;
      if (exclusiveMinimum ? value <= least : value < least)
        this.#invalid(value, `should be greater than ${exclusiveMinimum ? "" : "or equal to "}${goNumber(least)}`);
    }
    if (maximum !== undefined) {
      const most = limit(maximum);
      const { exclusiveMaximum } = bounds;
      if (exclusiveMaximum ? value >= most : value > most)
        this.#invalid(value, `should be less than ${exclusiveMaximum ? "" : "or equal to "}${goNumber(most)}`);
    }
  }

  #array(node: StructuralNode, items: readonly unknown[], before: Correlation | undefined): void {
    const { items: below, bounds } = node;
    if (below !== undefined) {
      for (let i = 0; i < items.length; i++) {
        this.#path.push(i);
        this.value(below, items[i], this.#ratchets ? before?.index(i) : undefined);
        this.#path.pop();
      }
    }
    if (bounds === undefined) return;
    const { minItems, maxItems } = bounds;
    if (minItems !== undefined && items.length < minItems)
      this.#invalid(items.length, `should have at least ${minItems} items`);
    if (maxItems !== undefined && items.length > maxItems) this.#add((field) => tooMany(field, items.length, maxItems));
    if (bounds.uniqueItems && items.some((item, i) => items.slice(0, i).some((other) => equalJson(item, other))))
      this.#invalid("", "shouldn't contain duplicates");
  }

  #object(node: StructuralNode, object: Readonly<Record<string, unknown>>, before: Correlation | undefined): void {
    const { properties, additional, bounds } = node;
    if (bounds?.minProperties !== undefined || bounds?.maxProperties !== undefined) {
      const size = Object.keys(object).length;
      const { minProperties, maxProperties } = bounds;
      if (minProperties !== undefined && size < minProperties)
        this.#invalid(size, `should have at least ${minProperties} properties`);
      if (maxProperties !== undefined && size > maxProperties)
        this.#add((field) => tooMany(field, size, maxProperties));
    }
    const isRoot = this.#path.length === 0;
    for (const key in object) {
      const below = properties.get(key) ?? additional;
      if (below === undefined) {
        if (node.forbidsAdditional) this.#forbidden(key);
        continue;
      }
      // Type and version are never seen changed: both objects have been brought into this version.
      const isFixed = isRoot && this.#at === undefined && (key === "kind" || key === "apiVersion");
      this.#path.push(key);
      this.value(below, object[key], this.#ratchets && !isFixed ? before?.key(key) : undefined);
      this.#path.pop();
    }
    if (bounds === undefined) return;
    for (const name of bounds.required) {
      if (ownMember(object, name) !== undefined) continue;
      this.#path.push(name);
      this.#add((field) => required(field));
      this.#path.pop();
    }
  }

  #forbidden(key: string): void {
    const path = this.#pathText();
    this.#add((field) => invalidValue(field, key, `${path}.${key} in body is a forbidden property`));
  }

  #enum(values: readonly unknown[] | undefined, value: unknown): void {
    if (values === undefined) return;
    if (values.some((each) => isSame(each, value))) return;
    this.#add((field) =>
      notSupported(
        field,
        value,
        values.map((each) => (typeof each === "string" ? each : JSON.stringify(each))),
      ),
    );
  }

  #invalid(value: unknown, detail: string): void {
    const path = this.#pathText();
    this.#add((field) => invalidValue(field, value, `${path} in body ${detail}`));
  }

  /** What is said of combinations names the whole object, with the place in the text. */
  #problem(detail: string): void {
    this.errors.push(invalidValue(this.#at ?? "<nil>", "", detail));
  }

  #add(make: (field: string) => FieldError): void {
    const path = this.#pathText().replace(/^\./, "");
    this.errors.push(make(path === "" ? (this.#at ?? "<nil>") : this.#at === undefined ? path : `${this.#at}.${path}`));
  }

  #quoted(): string {
    return JSON.stringify(this.#pathText());
  }

  #pathText(): string {
    const parts = this.#path;
    let text = "";
    for (const part of parts) text += typeof part === "number" ? `[${part}]` : text === "" ? part : `.${part}`;
    const first = parts[0];
    const isAdditional =
      typeof first === "string" && !this.#root.properties.has(first) && this.#root.additional !== undefined;
    return isAdditional ? `.${text}` : text;
  }
}

interface Attempt {
  readonly errors: FieldError[];
  readonly count: number;
}

const NUMBER_FORMATS: Readonly<Record<string, string>> = { integer: "int64", number: "float64" };

const hasType = (node: StructuralNode): boolean => node.type !== "" || node.isIntOrString;
const typesText = (node: StructuralNode): string => (node.isIntOrString ? "integer,string" : node.type);

function jsonType(value: unknown): string {
  if (typeof value === "number") return isWhole(value) ? "integer" : "number";
  return Array.isArray(value) ? "array" : typeof value;
}

function accepts(node: StructuralNode, actual: string, value: unknown): boolean {
  if (node.isIntOrString) return actual === "string" || (typeof value === "number" && Number.isInteger(value));
  if (typeof value !== "number") return node.type === actual;
  return node.type === "number" || (node.type === "integer" && Number.isInteger(value));
}

/** Numbers that upstream reads as integers; larger ones are floating. */
const isWhole = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 63;

/** The common case, told without looking further. */
function fitsPlainly(node: StructuralNode, value: unknown, bounds: Bounds | undefined): boolean {
  return node.type === typeof value && bounds === undefined && !Array.isArray(value);
}

function isMultiple(value: number, factor: number): boolean {
  if (isWhole(value)) return value % factor === 0;
  const quotient = factor < 1 ? (1 / factor) * value : value / factor;
  return Math.abs(quotient - Math.round(quotient)) < 1e-9;
}

/** Number of Unicode characters. */
function lengthOf(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xd800 || unit > 0xdbff) continue;
    const next = text.charCodeAt(i + 1);
    if (next >= 0xdc00 && next <= 0xdfff) length--;
  }
  return length;
}

/** Whole members of an enum take fractions for what they are without them, as upstream's conversion does. */
function isSame(member: unknown, value: unknown): boolean {
  if (member === null) return false;
  if (typeof member === "number" && typeof value === "number")
    return member === (Number.isInteger(member) ? Math.trunc(value) : value);
  return equalJson(member, value);
}

/** As Go prints numbers. */
export function goNumber(value: number): string {
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude < 1e-4 || (magnitude >= 1e21 && !Number.isInteger(value)) || magnitude >= 1e21)
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return String(value);
}
