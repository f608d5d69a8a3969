import { CelBytes, CelDouble, CelUint, INT_MAX, INT_MIN, normalInt, UINT_MAX, type CelValue } from "../values/value.ts";
import {
  call,
  ident,
  list,
  literal,
  map,
  select,
  struct,
  type Expr,
  type MapEntry,
  type StructField,
} from "./expression.ts";
import { escapeText, tokenize, type Token, type TokenKind } from "./lexer.ts";
import { macroKey, type MacroTable } from "./macros.ts";
import type { CelIssue, Source } from "./source.ts";
import { UnescapeError, unescapeBytes, unescapeString } from "./unescape.ts";

const MAX_DEPTH = 250;
const MAX_LENGTH = 100_000;
const RESERVED = new Set([
  "as",
  "break",
  "const",
  "continue",
  "else",
  "false",
  "for",
  "function",
  "if",
  "import",
  "in",
  "let",
  "loop",
  "package",
  "namespace",
  "null",
  "return",
  "true",
  "var",
  "void",
  "while",
]);
const STARTS =
  "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER";
const RELATIONS: ReadonlyMap<TokenKind, string> = new Map([
  ["<", "_<_"],
  ["<=", "_<=_"],
  [">=", "_>=_"],
  [">", "_>_"],
  ["==", "_==_"],
  ["!=", "_!=_"],
  ["in", "@in"],
]);
const PRODUCTS: ReadonlyMap<TokenKind, string> = new Map([
  ["*", "_*_"],
  ["/", "_/_"],
  ["%", "_%_"],
]);
const SUMS: ReadonlyMap<TokenKind, string> = new Map([
  ["+", "_+_"],
  ["-", "_-_"],
]);

/** Stops parsing where the grammar does not go on. */
class SyntaxStop extends Error {}

/** The expression of a source, or undefined with the reasons in `issues`. */
export function parseExpression(source: Source, macros: MacroTable, issues: CelIssue[]): Expr | undefined {
  if (source.length > MAX_LENGTH) {
    const message = `expression code point size exceeds limit: size: ${source.length}, limit ${MAX_LENGTH}`;
    issues.push({ message, at: undefined });
    return undefined;
  }
  const parser = new Parser(tokenize(source, issues), macros, issues);
  try {
    const expr = parser.start();
    return issues.length === 0 ? expr : undefined;
  } catch (error) {
    if (error instanceof SyntaxStop) return undefined;
    throw error;
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #macros: MacroTable;
  readonly #issues: CelIssue[];
  #nesting = 0;
  #next = 0;

  constructor(tokens: readonly Token[], macros: MacroTable, issues: CelIssue[]) {
    this.#tokens = tokens;
    this.#macros = macros;
    this.#issues = issues;
  }

  start(): Expr {
    const expr = this.#expr();
    if (this.#peek().kind !== "end") this.#spare("<EOF>");
    if (expr.depth > MAX_DEPTH) this.#tooDeep("max recursion depth exceeded");
    return expr;
  }

  #peek(offset = 0): Token {
    return this.#tokens[Math.min(this.#next + offset, this.#tokens.length - 1)]!;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #accept(kind: TokenKind): Token | undefined {
    return this.#peek().kind === kind ? this.#take() : undefined;
  }

  #expect(kind: TokenKind, expected: string): Token {
    return this.#accept(kind) ?? this.#unexpected(expected);
  }

  #tooDeep(message: string): never {
    this.#issues.push({ message, at: undefined });
    throw new SyntaxStop();
  }

  #unexpected(expected: string, problem = "mismatched"): never {
    const token = this.#peek();
    const text = token.kind === "end" ? "<EOF>" : escapeText(token.text);
    this.#issues.push({ message: `Syntax error: ${problem} input '${text}' expecting ${expected}`, at: token.at });
    throw new SyntaxStop();
  }

  /** A token too many: told apart from a wrong one when what is wanted comes right behind it. */
  #spare(expected: string, wanted: TokenKind = "end"): never {
    const isSpare = this.#peek().kind !== "end" && this.#peek(1).kind === wanted;
    return this.#unexpected(expected, isSpare ? "extraneous" : "mismatched");
  }

  /** The end of something opened: at the end of the text it is missing. */
  #close(kind: ")" | "]"): void {
    if (this.#accept(kind) !== undefined) return;
    const token = this.#peek();
    if (token.kind !== "end") this.#spare(`'${kind}'`, kind);
    this.#issues.push({ message: `Syntax error: missing '${kind}' at '<EOF>'`, at: token.at });
    throw new SyntaxStop();
  }

  #noAlternative(dot: Token): never {
    const token = this.#peek();
    const text = token.kind === "end" ? "" : escapeText(token.text);
    this.#issues.push({ message: `Syntax error: no viable alternative at input '${dot.text}${text}'`, at: token.at });
    throw new SyntaxStop();
  }

  #report(message: string, at: number): Expr {
    this.#issues.push({ message, at });
    return literal(at, null);
  }

  #expr(): Expr {
    if (++this.#nesting > MAX_DEPTH) this.#tooDeep(`expression recursion limit exceeded: ${MAX_DEPTH}`);
    let result = this.#or();
    const question = this.#accept("?");
    if (question !== undefined) {
      const yes = this.#or();
      this.#expect(":", "':'");
      const no = this.#expr();
      result = deeper(call(question.at, "_?_:_", [result, yes, no]));
    }
    this.#nesting--;
    return result;
  }

  #or(): Expr {
    return this.#balanced("||", "_||_", () => this.#and());
  }

  #and(): Expr {
    return this.#balanced("&&", "_&&_", () => this.#relation());
  }

  /** A chain of one operator, as a balanced tree: long chains stay shallow. */
  #balanced(kind: TokenKind, name: string, term: () => Expr): Expr {
    const first = term();
    if (this.#peek().kind !== kind) return first;
    const terms = [first];
    const places: number[] = [];
    for (let token = this.#accept(kind); token !== undefined; token = this.#accept(kind)) {
      places.push(token.at);
      terms.push(term());
    }
    const build = (low: number, high: number): Expr => {
      const middle = Math.floor((low + high + 1) / 2);
      const left = middle === low ? terms[middle]! : build(low, middle - 1);
      const right = middle === high ? terms[middle + 1]! : build(middle + 1, high);
      return call(places[middle]!, name, [left, right]);
    };
    return build(0, places.length - 1);
  }

  #relation(isOperand = false): Expr {
    let result = this.#calculation(0);
    while (!isOperand) {
      const name = RELATIONS.get(this.#peek().kind);
      if (name === undefined) break;
      const token = this.#take();
      result = deeper(call(token.at, name, [result, this.#relation(true)]));
    }
    return result;
  }

  /** Sums bind at level 1, products at level 2. */
  #calculation(level: number): Expr {
    let result = this.#unary();
    for (;;) {
      const { kind } = this.#peek();
      const product = PRODUCTS.get(kind);
      const name = product ?? (level <= 1 ? SUMS.get(kind) : undefined);
      if (name === undefined || (product !== undefined && level > 2)) break;
      const token = this.#take();
      result = deeper(call(token.at, name, [result, this.#calculation(product === undefined ? 2 : 3)]));
    }
    return result;
  }

  #unary(): Expr {
    const token = this.#peek();
    if (token.kind === "!") return this.#prefixed("!", "!_");
    if (token.kind !== "-") return this.#member();
    const following = this.#peek(1).kind;
    return following === "int" || following === "float" ? this.#member() : this.#prefixed("-", "-_");
  }

  #prefixed(kind: "!" | "-", name: string): Expr {
    const first = this.#take();
    let count = 1;
    while (this.#accept(kind) !== undefined) count++;
    const operand = this.#member();
    return count % 2 === 0 ? operand : call(first.at, name, [operand]);
  }

  #member(): Expr {
    let result = this.#primary();
    for (;;) {
      const token = this.#peek();
      if (token.kind === ".") result = this.#afterDot(result);
      else if (token.kind === "[") result = this.#index(result);
      else break;
    }
    return result;
  }

  #afterDot(operand: Expr): Expr {
    const dot = this.#take();
    if (this.#accept("?") !== undefined) {
      const field = this.#fieldName("{IDENTIFIER, ESC_IDENTIFIER}");
      return deeper(call(dot.at, "_?._", [operand, literal(field.at, field.name)]));
    }
    const found = this.#peek();
    const isWord = found.kind === "true" || found.kind === "false" || found.kind === "null";
    if (!isWord && found.kind !== "identifier" && found.kind !== "escaped") this.#noAlternative(dot);
    const field = this.#fieldName("IDENTIFIER");
    if (field.escaped || this.#peek().kind !== "(") {
      if (field.escaped) return this.#report("unsupported syntax: '`'", field.at);
      return select(dot.at, operand, field.name);
    }
    const open = this.#take();
    const args = this.#arguments();
    return this.#callOrMacro(open.at, field.name, args, operand);
  }

  #fieldName(expected: string): { name: string; at: number; escaped: boolean } {
    const token = this.#accept("identifier") ?? this.#accept("escaped") ?? this.#unexpected(expected);
    return { name: token.text, at: token.at, escaped: token.kind === "escaped" };
  }

  #index(operand: Expr): Expr {
    const open = this.#take();
    const optional = this.#accept("?") !== undefined;
    if (!optional && this.#peek().kind === "end") this.#unexpected(`{${STARTS.replace("'!'", "'!', '?'")}}`);
    const index = this.#expr();
    this.#close("]");
    return deeper(call(open.at, optional ? "_[?_]" : "_[_]", [operand, index]));
  }

  #arguments(): Expr[] {
    const args: Expr[] = [];
    if (this.#accept(")") !== undefined) return args;
    if (this.#peek().kind === ",") this.#spare(`{${STARTS.replace("'(',", "'(', ')',")}}`, ")");
    do args.push(this.#expr());
    while (this.#accept(",") !== undefined);
    this.#expect(")", "{')', ','}");
    return args;
  }

  #callOrMacro(at: number, name: string, args: readonly Expr[], target: Expr | undefined): Expr {
    const plain = call(at, name, args, target);
    if (target !== undefined) plain.depth++;
    const macro = this.#macros.get(macroKey(name, args.length, target !== undefined));
    if (macro === undefined) return plain;
    const expanded = macro(at, target, args);
    if (expanded === undefined) return plain;
    if ("error" in expanded) return this.#report(expanded.error, expanded.at);
    expanded.depth = plain.depth;
    return expanded;
  }

  #primary(): Expr {
    const token = this.#peek();
    switch (token.kind) {
      case "(": {
        this.#take();
        const inner = this.#expr();
        this.#close(")");
        return inner;
      }
      case "[":
        return this.#list();
      case "{":
        return this.#map();
      case ".":
      case "identifier":
        return this.#named();
      case "-":
        return this.#number();
      default:
        return this.#literal();
    }
  }

  #named(): Expr {
    const first = this.#peek();
    const leadingDot = this.#accept(".") !== undefined;
    const name = this.#expect("identifier", "IDENTIFIER");
    const message = this.#messageName(name);
    if (message !== undefined) return this.#struct((leadingDot ? "." : "") + message);
    if (RESERVED.has(name.text)) {
      this.#report(`reserved identifier: ${name.text}`, first.at);
    }
    const full = (leadingDot ? "." : "") + name.text;
    const open = this.#accept("(");
    return open === undefined ? ident(name.at, full) : this.#callOrMacro(open.at, full, this.#arguments(), undefined);
  }

  /** `a.b.C` when a brace follows it: then it names a message. */
  #messageName(first: Token): string | undefined {
    let offset = 0;
    let name = first.text;
    while (this.#peek(offset).kind === "." && this.#peek(offset + 1).kind === "identifier") {
      name += `.${this.#peek(offset + 1).text}`;
      offset += 2;
    }
    if (this.#peek(offset).kind !== "{") return undefined;
    this.#next += offset;
    return name;
  }

  #struct(name: string): Expr {
    const open = this.#take();
    const fields: StructField[] = [];
    while (this.#peek().kind !== "}") {
      const optional = this.#accept("?") !== undefined;
      const field = this.#fieldName("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}");
      const colon = this.#expect(":", "':'");
      if (field.escaped) this.#report("unsupported syntax: '`'", open.at);
      fields.push({ at: colon.at, name: field.name, value: this.#expr(), optional });
      if (this.#accept(",") === undefined) break;
    }
    this.#expect("}", "{'}', ','}");
    return struct(open.at, name, fields);
  }

  #list(): Expr {
    const open = this.#take();
    const elements: Expr[] = [];
    const optional: boolean[] = [];
    while (this.#peek().kind !== "]") {
      if (elements.length === 0 && this.#accept(",") !== undefined) break;
      optional.push(this.#accept("?") !== undefined);
      elements.push(this.#expr());
      if (this.#accept(",") === undefined) break;
    }
    this.#expect("]", "{']', ','}");
    return list(open.at, elements, optional.includes(true) ? optional : []);
  }

  #map(): Expr {
    const open = this.#take();
    const entries: MapEntry[] = [];
    while (this.#peek().kind !== "}") {
      if (entries.length === 0 && this.#accept(",") !== undefined) break;
      const optional = this.#accept("?") !== undefined;
      const key = this.#expr();
      this.#expect(":", "':'");
      entries.push({ key, value: this.#expr(), optional });
      if (this.#accept(",") === undefined) break;
    }
    this.#expect("}", "{'}', ','}");
    return map(open.at, entries);
  }

  #number(): Expr {
    const sign = this.#take();
    const token = this.#take();
    return token.kind === "int" ? this.#int(`-${token.text}`, sign.at) : this.#double(`-${token.text}`, sign.at);
  }

  #literal(): Expr {
    const token = this.#peek();
    const make = LITERALS[token.kind];
    if (make === undefined) return this.#unexpected(`{${STARTS}}`);
    this.#take();
    if (token.kind === "int") return this.#int(token.text, token.at);
    if (token.kind === "float") return this.#double(token.text, token.at);
    try {
      const value = make(token.text);
      return value === undefined ? this.#report("invalid uint literal", token.at) : literal(token.at, value);
    } catch (error) {
      if (!(error instanceof UnescapeError)) throw error;
      return this.#report(error.message, token.at);
    }
  }

  #int(text: string, at: number): Expr {
    const negative = text.startsWith("-");
    const magnitude = BigInt(negative ? text.slice(1) : text);
    const value = negative ? -magnitude : magnitude;
    if (value < INT_MIN || value > INT_MAX) return this.#report("invalid int literal", at);
    return literal(at, normalInt(value));
  }

  #double(text: string, at: number): Expr {
    const value = Number(text);
    if (!Number.isFinite(value)) return this.#report("invalid double literal", at);
    return literal(at, new CelDouble(value));
  }
}

function deeper(expr: Expr): Expr {
  expr.depth++;
  return expr;
}

const LITERALS: Partial<Record<TokenKind, (text: string) => CelValue | undefined>> = {
  int: () => 0,
  float: () => 0,
  uint: (text) => {
    const value = BigInt(text.slice(0, -1));
    return value > UINT_MAX ? undefined : new CelUint(value);
  },
  string: unescapeString,
  bytes: (text) => new CelBytes(unescapeBytes(text)),
  true: () => true,
  false: () => false,
  null: () => null,
};
