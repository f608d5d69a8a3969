import {
  BOOL,
  CelDouble,
  CelError,
  CelList,
  CelMap,
  CompileError,
  createCelEnvironment,
  DYN,
  listType,
  mapType,
  objectType,
  STRING,
  unescapeField,
  type CelType,
  type CelValue,
  type Program,
} from "@coracle/cel";
import { isObject } from "@coracle/apimachinery";
import type { UserInfo } from "../user.ts";
import type { ExpressionCheck, ExpressionSubject } from "./authentication-configuration.ts";

/** A map of JSON whose keys may also be written in the form that identifiers have in expressions. */
class ClaimMap extends CelMap {
  readonly #raw: Readonly<Record<string, unknown>>;

  constructor(raw: Readonly<Record<string, unknown>>) {
    super();
    this.#raw = raw;
  }

  get size(): number {
    return Object.keys(this.#raw).length;
  }

  find(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") return undefined;
    const name = unescapeField(key) ?? key;
    return Object.hasOwn(this.#raw, name) ? valueOf(this.#raw[name]) : undefined;
  }

  keys(): Iterable<CelValue> {
    return Object.keys(this.#raw);
  }
}

class ClaimList extends CelList {
  readonly #raw: readonly unknown[];

  constructor(raw: readonly unknown[]) {
    super();
    this.#raw = raw;
  }

  get size(): number {
    return this.#raw.length;
  }

  at(index: number): CelValue {
    return valueOf(this.#raw[index]);
  }
}

/** Claims as expressions see them: all numbers are doubles. */
function valueOf(raw: unknown): CelValue {
  if (raw === null || typeof raw === "string" || typeof raw === "boolean") return raw;
  if (typeof raw === "number") return new CelDouble(raw);
  if (Array.isArray(raw)) return new ClaimList(raw);
  return isObject(raw) ? new ClaimMap(raw) : new CelError("claim failed to unmarshal");
}

const USER_FIELDS: Readonly<Record<string, CelType>> = {
  username: STRING,
  uid: STRING,
  groups: listType(STRING),
  extra: mapType(STRING, listType(STRING)),
};

const environments = {
  claims: createCelEnvironment({ variables: { claims: mapType(STRING, DYN) } }),
  user: createCelEnvironment({
    variables: { user: objectType("kubernetes.UserInfo") },
    objects: [
      {
        name: "kubernetes.UserInfo",
        field: (name) => (Object.hasOwn(USER_FIELDS, name) ? USER_FIELDS[name] : undefined),
      },
    ],
  }),
};

/** Compiles an expression. Throws a CompileError with upstream's words when it is none. */
function compile(expression: string, subject: ExpressionSubject): Program {
  try {
    return environments[subject].compile(expression);
  } catch (error) {
    if (error instanceof CompileError) throw new CompileError(`compilation failed: ${error.message}`, error.issues);
    throw error;
  }
}

/**
 * Says why an expression cannot be used where it is; undefined when it can. Claims can be anything: what an
 * expression makes of them is looked at once it has a value.
 */
export const checkExpression: ExpressionCheck = (expression, subject, isRule) => {
  try {
    const { resultType } = compile(expression, subject);
    return isRule && resultType.kind !== BOOL.kind ? "must evaluate to bool" : undefined;
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
};

function evaluate(program: Program, bindings: Record<string, CelValue>): CelValue {
  const found = program.evaluate(bindings);
  if (!found.ok) throw new Error(`expression '${program.source}' resulted in error: ${found.error}`);
  return found.value;
}

/** A text or a list of texts; empty ones do not count. */
function textsOf(value: CelValue): string[] {
  const items = value instanceof CelList ? Array.from({ length: value.size }, (_, i) => value.at(i)) : [value];
  if (value === null) return [];
  const texts = items.map((item) => {
    if (typeof item !== "string") throw new Error("expression must return a string or a list of strings");
    return item;
  });
  return texts.filter((text) => text !== "");
}

export type ClaimsReader<T> = (claims: Readonly<Record<string, unknown>>) => T;

/** The text that an expression makes of claims. `what` is for messages. */
export function compileText(expression: string, what: string): ClaimsReader<string> {
  const program = compile(expression, "claims");
  return (claims) => {
    const value = evaluate(program, { claims: new ClaimMap(claims) });
    if (typeof value !== "string") throw new Error(`${what} claim expression must return a string`);
    return value;
  };
}

/** The texts that an expression makes of claims. */
export function compileTexts(expression: string): ClaimsReader<string[]> {
  const program = compile(expression, "claims");
  return (claims) => textsOf(evaluate(program, { claims: new ClaimMap(claims) }));
}

function ruleOf(program: Program, message: string): (bindings: Record<string, CelValue>) => void {
  return (bindings) => {
    const value = evaluate(program, bindings);
    if (typeof value !== "boolean") throw new Error("validation expression must return a boolean");
    if (!value) throw new Error(`validation expression '${program.source}' failed: ${message}`);
  };
}

/** Throws when the claims do not fulfil the rule. */
export function compileClaimRule(expression: string, message: string): ClaimsReader<void> {
  const check = ruleOf(compile(expression, "claims"), message);
  return (claims) => check({ claims: new ClaimMap(claims) });
}

/** Throws when the user does not fulfil the rule. */
export function compileUserRule(expression: string, message: string): (user: UserInfo) => void {
  const check = ruleOf(compile(expression, "user"), message);
  return ({ name, uid = "", groups, extra = {} }) =>
    check({ user: new ClaimMap({ username: name, uid, groups, extra }) });
}
