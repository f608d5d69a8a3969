import {
  qualifiedName,
  type Call,
  type Comprehension,
  type Expr,
  type Select,
  type StructLiteral,
} from "../syntax/expression.ts";
import type { CelIssue } from "../syntax/source.ts";
import {
  BOOL,
  BYTES,
  DOUBLE,
  DYN,
  ERROR,
  INT,
  NULL,
  STRING,
  UINT,
  formatSignature,
  formatType,
  isDyn,
  isOptional,
  listType,
  mapType,
  optionalType,
  sameType,
  typeParam,
  typeType,
  unwrapOptional,
  type CelType,
} from "../types/cel-type.ts";
import { mostGeneral, substitute, unify, unifyAll, type Substitution } from "../types/unify.ts";
import { CelBytes, CelDouble, CelUint, type CelValue } from "../values/value.ts";
import type { Declarations, FunctionDeclaration, Overload } from "./environment.ts";

/** Gives every node its type and every call its overloads; what does not fit goes to `issues`. */
export function checkExpression(expr: Expr, declarations: Declarations, issues: CelIssue[]): CelType {
  const checker = new Checker(declarations, issues);
  checker.check(expr);
  checker.settle(expr);
  return expr.type!;
}

/** The type of a literal's value. */
export function literalType(value: CelValue): CelType {
  switch (typeof value) {
    case "string":
      return STRING;
    case "boolean":
      return BOOL;
    case "number":
    case "bigint":
      return INT;
    default:
      if (value instanceof CelDouble) return DOUBLE;
      if (value instanceof CelUint) return UINT;
      return value instanceof CelBytes ? BYTES : NULL;
  }
}

interface Scope {
  readonly parent: Scope | undefined;
  readonly variables: ReadonlyMap<string, CelType>;
}

class Checker {
  readonly #declarations: Declarations;
  readonly #issues: CelIssue[];
  #known: Substitution = new Map();
  #scope: Scope | undefined;
  #variables = 0;

  constructor(declarations: Declarations, issues: CelIssue[]) {
    this.#declarations = declarations;
    this.#issues = issues;
  }

  check(expr: Expr): CelType {
    const type = this.#typeOf(expr);
    expr.type = type;
    return type;
  }

  /** Replaces the type variables that are left in the types of all nodes. */
  settle(expr: Expr): void {
    if (expr.type !== undefined) expr.type = substitute(this.#known, expr.type, true);
    switch (expr.kind) {
      case "select":
        this.settle(expr.operand);
        return;
      case "call":
        if (expr.target !== undefined) this.settle(expr.target);
        for (const arg of expr.args) this.settle(arg);
        return;
      case "list":
        for (const element of expr.elements) this.settle(element);
        return;
      case "map":
        for (const { key, value } of expr.entries) {
          this.settle(key);
          this.settle(value);
        }
        return;
      case "struct":
        for (const field of expr.fields) this.settle(field.value);
        return;
      case "comprehension":
        for (const part of [expr.range, expr.accuInit, expr.condition, expr.step, expr.result]) this.settle(part);
        return;
      default:
    }
  }

  #typeOf(expr: Expr): CelType {
    switch (expr.kind) {
      case "literal":
        return literalType(expr.value);
      case "ident": {
        const found = this.#lookup(expr.name);
        if (found === undefined) return this.#undeclared(expr.at, expr.name);
        expr.name = stripDot(expr.name);
        expr.denotes = found.denotes;
        return found.type;
      }
      case "select":
        return this.#select(expr);
      case "call":
        return this.#call(expr);
      case "list": {
        let element: CelType | undefined;
        expr.elements.forEach((item, index) => {
          element = this.#join(element, this.#optionalPart(item, this.check(item), expr.optional[index] === true));
        });
        return listType(element ?? this.#fresh());
      }
      case "map": {
        let key: CelType | undefined;
        let value: CelType | undefined;
        for (const entry of expr.entries) {
          key = this.#join(key, this.check(entry.key));
          const type = this.#optionalPart(entry.value, this.check(entry.value), entry.optional);
          value = this.#join(value, type);
        }
        return mapType(key ?? this.#fresh(), value ?? this.#fresh());
      }
      case "struct":
        return this.#struct(expr);
      case "comprehension":
        return this.#comprehension(expr);
    }
  }

  #lookup(name: string): { type: CelType; denotes: CelType | undefined } | undefined {
    const plain = stripDot(name);
    for (let scope = this.#scope; scope !== undefined; scope = scope.parent) {
      const type = scope.variables.get(plain);
      if (type !== undefined) return { type, denotes: undefined };
    }
    const type = this.#declarations.variable(plain);
    if (type !== undefined) return { type, denotes: undefined };
    const denotes = this.#declarations.denoted(plain);
    return denotes === undefined ? undefined : { type: typeType(denotes), denotes };
  }

  #undeclared(at: number, name: string): CelType {
    return this.#error(at, `undeclared reference to '${name}' (in container '')`);
  }

  #error(at: number, message: string): CelType {
    this.#issues.push({ message, at });
    return ERROR;
  }

  #fresh(): CelType {
    return typeParam(`_var${this.#variables++}`);
  }

  #resolved(expr: Expr): CelType {
    return substitute(this.#known, expr.type!, false);
  }

  #isAssignable(from: CelType, to: CelType): boolean {
    const known = unify(this.#known, from, to);
    if (known === undefined) return false;
    this.#known = known;
    return true;
  }

  #select(expr: Select): CelType {
    const name = qualifiedName(expr);
    if (name !== undefined) {
      const found = this.#lookup(name);
      if (found !== undefined) {
        expr.qualified = {
          kind: "ident",
          at: expr.at,
          depth: 0,
          type: found.type,
          name: stripDot(name),
          denotes: found.denotes,
        };
        expr.operand.type ??= DYN;
        return found.type;
      }
    }
    const type = this.#field(expr, expr.operand, expr.field, false);
    return expr.testOnly ? BOOL : substitute(this.#known, type, false);
  }

  #field(expr: Expr, operand: Expr, field: string, optional: boolean): CelType {
    this.check(operand);
    const operandType = this.#resolved(operand);
    const target = unwrapOptional(operandType);
    const type = this.#fieldType(expr, target, field);
    return isOptional(operandType) || optional ? optionalType(type) : type;
  }

  #fieldType(expr: Expr, target: CelType, field: string): CelType {
    switch (target.kind) {
      case "map":
        return target.params[1]!;
      case "struct": {
        const declaration = this.#declarations.object(target.name);
        if (declaration === undefined) return this.#error(expr.at, `unexpected failed resolution of '${target.name}'`);
        return declaration.field(field) ?? this.#error(expr.at, `undefined field '${field}'`);
      }
      case "typeParam":
        this.#isAssignable(DYN, target);
        return DYN;
      default:
        if (!isDyn(target) && target.kind !== "error") {
          this.#error(expr.at, `type '${formatType(target)}' does not support field selection`);
        }
        return DYN;
    }
  }

  #call(expr: Call): CelType {
    if (expr.name === "_?._") {
      const [operand, field] = expr.args;
      expr.overloads = ["select_optional_field"];
      field!.type = STRING;
      const name = field?.kind === "literal" && typeof field.value === "string" ? field.value : "";
      return substitute(this.#known, this.#field(expr, operand!, name, true), false);
    }
    for (const arg of expr.args) this.check(arg);
    if (expr.target === undefined) {
      const declared = this.#declarations.functions.get(stripDot(expr.name));
      if (declared === undefined) return this.#undeclared(expr.at, expr.name);
      expr.name = declared.name;
      return this.#resolve(expr, declared);
    }
    const prefix = qualifiedName(expr.target);
    if (prefix !== undefined) {
      const qualified = this.#declarations.functions.get(stripDot(`${prefix}.${expr.name}`));
      if (qualified !== undefined) {
        expr.name = qualified.name;
        expr.target = undefined;
        return this.#resolve(expr, qualified);
      }
    }
    this.check(expr.target);
    const declared = this.#declarations.functions.get(expr.name);
    return declared === undefined ? this.#undeclared(expr.at, expr.name) : this.#resolve(expr, declared);
  }

  #resolve(expr: Call, declared: FunctionDeclaration): CelType {
    const isMember = expr.target !== undefined;
    const args = isMember ? [expr.target!, ...expr.args] : expr.args;
    const types = args.map((arg) => arg.type!);
    if (declared.name === "_&&_" || declared.name === "_||_") return this.#logical(expr, declared.overloads[0]!, types);
    const overloads: string[] = [];
    let result: CelType | undefined;
    for (const overload of declared.overloads) {
      if (overload.member !== isMember || overload.args.length !== types.length) continue;
      const { params, type } = this.#instantiate(overload);
      const known = unifyAll(this.#known, types, params);
      if (known === undefined) continue;
      this.#known = known;
      overloads.push(overload.id);
      const found = substitute(known, type, false);
      if (result === undefined) result = found;
      else if (!isDyn(result) && !sameType(found, result)) result = DYN;
    }
    if (result === undefined) {
      const signature = formatSignature(
        types.map((type) => substitute(this.#known, type, true)),
        isMember,
      );
      return this.#error(expr.at, `found no matching overload for '${declared.name}' applied to '${signature}'`);
    }
    expr.overloads = overloads;
    return result;
  }

  #logical(expr: Call, overload: Overload, types: readonly CelType[]): CelType {
    let fits = true;
    types.forEach((type, index) => {
      if (this.#isAssignable(type, BOOL)) return;
      this.#mismatch(expr.args[index]!.at, BOOL, type);
      fits = false;
    });
    expr.overloads = fits ? [overload.id] : [];
    return fits ? BOOL : ERROR;
  }

  #instantiate(overload: Overload): { params: readonly CelType[]; type: CelType } {
    const names = typeParamsOf(overload);
    if (names.size === 0) return { params: overload.args, type: overload.result };
    const fresh: Substitution = new Map();
    for (const name of names) fresh.set(name, this.#fresh());
    return {
      params: overload.args.map((arg) => substitute(fresh, arg, false)),
      type: substitute(fresh, overload.result, false),
    };
  }

  #mismatch(at: number, expected: CelType, found: CelType): CelType {
    return this.#error(at, `expected type '${formatType(expected)}' but found '${formatType(found)}'`);
  }

  #optionalPart(expr: Expr, type: CelType, optional: boolean): CelType {
    if (!optional) return type;
    if (isOptional(type)) return type.params[0]!;
    if (!isDyn(type)) this.#mismatch(expr.at, optionalType(type), type);
    return type;
  }

  #join(previous: CelType | undefined, current: CelType): CelType {
    if (previous === undefined) return current;
    if (this.#isAssignable(previous, current)) return mostGeneral(previous, current);
    return DYN;
  }

  #struct(expr: StructLiteral): CelType {
    const found = this.#lookup(expr.name);
    if (found === undefined) return this.#undeclared(expr.at, expr.name);
    expr.name = stripDot(expr.name);
    let type: CelType = ERROR;
    if (found.type.kind !== "type") this.#error(expr.at, `'${found.type.name}' is not a type`);
    else if (found.denotes?.kind === "struct") type = found.denotes;
    else this.#error(expr.at, `'${found.denotes?.name ?? expr.name}' is not a message type`);
    for (const field of expr.fields) {
      const given = this.check(field.value);
      const declaration = this.#declarations.object(type.name);
      const wanted =
        declaration === undefined
          ? this.#error(field.at, `unexpected failed resolution of '${expr.name}'`)
          : (declaration.field(field.name) ?? this.#error(field.at, `undefined field '${field.name}'`));
      const value = this.#optionalPart(field.value, given, field.optional);
      if (!this.#isAssignable(wanted, value)) {
        const message = `expected type of field '${field.name}' is '${formatType(wanted)}' but provided type is '${formatType(value)}'`;
        this.#error(field.at, message);
      }
    }
    return type;
  }

  #comprehension(expr: Comprehension): CelType {
    this.check(expr.range);
    const accu = this.check(expr.accuInit);
    const [first, second] = this.#elementTypes(expr);
    this.#scope = { parent: this.#scope, variables: new Map([[expr.accuVar, accu]]) };
    const outer = this.#scope;
    const variables = new Map([[expr.iterVar, first]]);
    if (expr.iterVar2 !== undefined) variables.set(expr.iterVar2, second);
    this.#scope = { parent: outer, variables };
    this.check(expr.condition);
    this.#assert(expr.condition, BOOL);
    this.check(expr.step);
    this.#assert(expr.step, accu);
    this.#scope = outer;
    const result = this.check(expr.result);
    this.#scope = outer.parent;
    return substitute(this.#known, result, false);
  }

  #elementTypes(expr: Comprehension): readonly [CelType, CelType] {
    const range = this.#resolved(expr.range);
    const isPair = expr.iterVar2 !== undefined;
    switch (range.kind) {
      case "list":
        return isPair ? [INT, range.params[0]!] : [range.params[0]!, DYN];
      case "map":
        return [range.params[0]!, range.params[1]!];
      case "dyn":
      case "any":
      case "error":
      case "typeParam":
        this.#isAssignable(DYN, range);
        return [DYN, DYN];
      default: {
        const type = formatType(range);
        const message = `expression of type '${type}' cannot be range of a comprehension (must be list, map, or dynamic)`;
        this.#error(expr.range.at, message);
        return [ERROR, ERROR];
      }
    }
  }

  #assert(expr: Expr, type: CelType): void {
    if (!this.#isAssignable(type, expr.type!)) this.#mismatch(expr.at, type, expr.type!);
  }
}

const paramCache = new WeakMap<Overload, ReadonlySet<string>>();

function typeParamsOf(overload: Overload): ReadonlySet<string> {
  const cached = paramCache.get(overload);
  if (cached !== undefined) return cached;
  const names = new Set<string>();
  const visit = (type: CelType): void => {
    if (type.kind === "typeParam") names.add(type.name);
    else type.params.forEach(visit);
  };
  visit(overload.result);
  overload.args.forEach(visit);
  paramCache.set(overload, names);
  return names;
}

function stripDot(name: string): string {
  return name.startsWith(".") ? name.slice(1) : name;
}
