/**
 * A check of CEL expressions before they are stored: the grammar, and that every name at the root is declared. What
 * types the parts have is for the evaluator.
 */

const TOKEN =
  /\s+|\/\/[^\n]*|(?<string>[rRbB]{0,2}(?:"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))|(?<number>0x[0-9a-fA-F]+u?|(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|\d+u?)|(?<name>[A-Za-z_][A-Za-z0-9_]*|`[a-zA-Z0-9_.\-/]+`)|(?<operator>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()[\]{}])/y;

interface Token {
  readonly type: "string" | "number" | "name" | "operator" | "end";
  readonly text: string;
}

class CelProblem extends Error {}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) throw new CelProblem(`Syntax error: token recognition error at: '${source.slice(at, at + 1)}'`);
    for (const type of ["string", "number", "name", "operator"] as const) {
      const text = match.groups?.[type];
      if (text !== undefined) tokens.push({ type, text });
    }
  }
  tokens.push({ type: "end", text: "<EOF>" });
  return tokens;
}

const MACROS = new Set([
  "all",
  "exists",
  "exists_one",
  "map",
  "filter",
  "transformList",
  "transformMap",
  "existsOne",
  "bind",
]);
const LITERALS = new Set(["true", "false", "null"]);
const GLOBALS = new Set([
  "size",
  "type",
  "int",
  "uint",
  "double",
  "string",
  "bytes",
  "bool",
  "duration",
  "timestamp",
  "dyn",
  "has",
  "matches",
  "list",
  "map",
  "quantity",
  "isQuantity",
  "url",
  "isURL",
  "ip",
  "isIP",
  "cidr",
  "isCIDR",
  "ipFamily",
  "format",
  "semver",
  "isSemver",
  "sets",
  "optional",
  "math",
  "cel",
  "getHost",
  "google",
  "null_type",
  "Object",
  "JSONPatch",
  "jsonpatch",
]);
const PRECEDENCE: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!=", "<", "<=", ">", ">=", "in"],
  ["+", "-"],
  ["*", "/", "%"],
];

/** Names an expression may begin with; a set of names limits the members that may follow. */
export type CelDeclarations = Readonly<Record<string, ReadonlySet<string> | true>>;

class Checker {
  readonly #tokens: readonly Token[];
  readonly #declared: CelDeclarations;
  #at = 0;
  readonly #bound: string[] = [];
  constructor(tokens: readonly Token[], declared: CelDeclarations) {
    this.#tokens = tokens;
    this.#declared = declared;
  }
  run(): void {
    this.#expression();
    const rest = this.#peek();
    if (rest.type !== "end") throw new CelProblem(`Syntax error: extraneous input '${rest.text}' expecting <EOF>`);
  }
  #peek(): Token {
    return this.#tokens[this.#at] ?? { type: "end", text: "<EOF>" };
  }
  #take(text: string): boolean {
    const token = this.#peek();
    if ((token.type === "operator" || text === "in") && token.text === text) {
      this.#at++;
      return true;
    }
    return false;
  }
  #expect(text: string): void {
    if (!this.#take(text))
      throw new CelProblem(`Syntax error: mismatched input '${this.#peek().text}' expecting '${text}'`);
  }
  #expression(): void {
    this.#binary(0);
    if (!this.#take("?")) return;
    this.#binary(0);
    this.#expect(":");
    this.#expression();
  }
  #binary(level: number): void {
    const operators = PRECEDENCE[level];
    if (operators === undefined) {
      while (this.#take("!") || this.#take("-"));
      this.#member();
      return;
    }
    this.#binary(level + 1);
    while (operators.some((operator) => this.#take(operator))) this.#binary(level + 1);
  }
  #list(end: string): void {
    while (!this.#take(end)) {
      this.#take("?");
      this.#expression();
      if (!this.#take(",")) {
        this.#expect(end);
        return;
      }
    }
  }
  #arguments(method: string): void {
    const names: string[] = [];
    // Macros bind one name, or an index or key and a value, before the expression that uses them.
    if (MACROS.has(method))
      for (let at = this.#at; names.length < 2; at += 2) {
        const token = this.#tokens[at];
        const isLast = this.#tokens[at + 3]?.text !== ",";
        if (token?.type !== "name" || this.#tokens[at + 1]?.text !== ",") break;
        names.push(token.text);
        if (isLast) break;
      }
    this.#bound.push(...names);
    this.#list(")");
    this.#bound.length -= names.length;
  }
  #member(): void {
    const token = this.#peek();
    this.#at++;
    if (token.type === "name") this.#name(token.text);
    else if (token.text === "(" && token.type === "operator") {
      this.#expression();
      this.#expect(")");
    } else if (token.text === "[" && token.type === "operator") this.#list("]");
    else if (token.text === "{" && token.type === "operator") this.#map();
    else if (token.text === "." && token.type === "operator") this.#at--;
    else if (token.type !== "string" && token.type !== "number")
      throw new CelProblem(`Syntax error: mismatched input '${token.text}'`);
    this.#selectors();
  }
  #map(): void {
    while (!this.#take("}")) {
      this.#take("?");
      this.#expression();
      this.#expect(":");
      this.#expression();
      if (!this.#take(",")) {
        this.#expect("}");
        return;
      }
    }
  }
  #selectors(): void {
    for (;;) {
      if (this.#take(".")) {
        this.#take("?");
        const name = this.#peek();
        if (name.type !== "name") throw new CelProblem(`Syntax error: no viable alternative at input '.${name.text}'`);
        this.#at++;
        if (this.#take("(")) this.#arguments(name.text);
        else if (this.#take("{")) this.#map();
      } else if (this.#take("[")) {
        this.#take("?");
        this.#expression();
        this.#expect("]");
      } else if (this.#peek().text === "{" && this.#tokens[this.#at - 1]?.type === "name") {
        this.#at++;
        this.#map();
      } else return;
    }
  }
  #name(name: string): void {
    if (LITERALS.has(name) || this.#bound.includes(name)) return;
    if (this.#peek().text === "(" && this.#peek().type === "operator") {
      if (!GLOBALS.has(name)) throw new CelProblem(`undeclared reference to '${name}' (in container '')`);
      this.#at++;
      this.#arguments(name);
      return;
    }
    const members = Object.hasOwn(this.#declared, name) ? this.#declared[name] : GLOBALS.has(name) ? true : undefined;
    if (members === undefined) throw new CelProblem(`undeclared reference to '${name}' (in container '')`);
    const field = this.#peek().text === "." ? this.#tokens[this.#at + 1] : undefined;
    const isCall = this.#tokens[this.#at + 2]?.text === "(";
    if (members !== true && field?.type === "name" && !isCall && !members.has(field.text))
      throw new CelProblem(`undefined field '${field.text}'`);
  }
}

/** What is wrong with an expression, undefined when nothing is. */
export function celProblem(expression: string, declared: CelDeclarations): string | undefined {
  try {
    new Checker(tokenize(expression), declared).run();
    return undefined;
  } catch (error) {
    if (error instanceof CelProblem) return `compilation failed: ERROR: <input>:1:1: ${error.message}`;
    throw error;
  }
}

/** Whether an expression is one literal that is not of the wanted type. */
export function isLiteral(expression: string): boolean {
  return /^\s*(?:-?\d+(?:\.\d+)?|"[^"]*"|'[^']*')\s*$/.test(expression);
}
