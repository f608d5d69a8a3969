import { codePoints } from "../values/value.ts";
import type { CelIssue, Source } from "./source.ts";

export type TokenKind =
  | "end"
  | "float"
  | "int"
  | "uint"
  | "string"
  | "bytes"
  | "identifier"
  | "escaped"
  | "true"
  | "false"
  | "null"
  | "in"
  | "=="
  | "!="
  | "<"
  | "<="
  | ">="
  | ">"
  | "&&"
  | "||"
  | "["
  | "]"
  | "{"
  | "}"
  | "("
  | ")"
  | "."
  | ","
  | "-"
  | "!"
  | "?"
  | ":"
  | "+"
  | "*"
  | "/"
  | "%";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
}

const DOUBLE_SIGNS = new Set(["==", "!=", "<=", ">=", "&&", "||"]);
const SIGNS = new Set("[]{}().,-!?:+*/%<>");
const SPACE = new Set([" ", "\t", "\r", "\n", "\f"]);
const WORDS = new Set(["true", "false", "null", "in"]);
const SIMPLE_ESCAPES = new Set(Array.from("abfnrtv\"'\\?`"));

/** All tokens of the source; characters that start none are reported and left out. */
export function tokenize(source: Source, issues: CelIssue[]): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const char = source.at(at);
    if (SPACE.has(char)) {
      at++;
      continue;
    }
    if (char === "/" && source.at(at + 1) === "/") {
      while (at < source.length && source.at(at) !== "\n") at++;
      continue;
    }
    const token = nextToken(source, at);
    if (token === undefined) {
      const length = unrecognised(source, at);
      const text = source.slice(at, at + length);
      issues.push({ message: `Syntax error: token recognition error at: '${text}'`, at });
      at += length;
      continue;
    }
    tokens.push(token);
    at += codePoints(token.text);
  }
  tokens.push({ kind: "end", text: "<EOF>", at: source.length });
  return tokens;
}

/** Text with line ends and tabs made visible, as in messages about the grammar. */
export function escapeText(text: string): string {
  return text.replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
}

function nextToken(source: Source, at: number): Token | undefined {
  const char = source.at(at);
  const text = stringEnd(source, at);
  if (text !== undefined) return { kind: text.bytes ? "bytes" : "string", text: source.slice(at, text.end), at };
  if (isLetter(char)) {
    let end = at + 1;
    while (isLetter(source.at(end)) || isDigit(source.at(end))) end++;
    const word = source.slice(at, end);
    return { kind: WORDS.has(word) ? (word as TokenKind) : "identifier", text: word, at };
  }
  if (isDigit(char) || (char === "." && isDigit(source.at(at + 1)))) return numberToken(source, at);
  if (char === "`") {
    let end = at + 1;
    while (/^[A-Za-z0-9_.\-/ ]$/.test(source.at(end))) end++;
    if (source.at(end) !== "`" || end === at + 1) return undefined;
    return { kind: "escaped", text: source.slice(at, end + 1), at };
  }
  const two = source.slice(at, at + 2);
  if (DOUBLE_SIGNS.has(two)) return { kind: two as TokenKind, text: two, at };
  return SIGNS.has(char) ? { kind: char as TokenKind, text: char, at } : undefined;
}

function numberToken(source: Source, at: number): Token {
  if (source.at(at) === "0" && source.at(at + 1) === "x" && isHex(source.at(at + 2))) {
    let end = at + 2;
    while (isHex(source.at(end))) end++;
    return suffixed(source, at, end);
  }
  let end = at;
  while (isDigit(source.at(end))) end++;
  let isFloat = false;
  if (source.at(end) === "." && isDigit(source.at(end + 1))) {
    isFloat = true;
    end++;
    while (isDigit(source.at(end))) end++;
  }
  const exponent = exponentEnd(source, end);
  if (exponent > end) {
    isFloat = true;
    end = exponent;
  }
  return isFloat ? { kind: "float", text: source.slice(at, end), at } : suffixed(source, at, end);
}

function suffixed(source: Source, at: number, end: number): Token {
  const isUnsigned = source.at(end) === "u" || source.at(end) === "U";
  return { kind: isUnsigned ? "uint" : "int", text: source.slice(at, isUnsigned ? end + 1 : end), at };
}

function exponentEnd(source: Source, at: number): number {
  if (source.at(at) !== "e" && source.at(at) !== "E") return at;
  let end = at + 1;
  if (source.at(end) === "+" || source.at(end) === "-") end++;
  if (!isDigit(source.at(end))) return at;
  while (isDigit(source.at(end))) end++;
  return end;
}

function stringEnd(source: Source, at: number): { end: number; bytes: boolean } | undefined {
  let start = at;
  let bytes = false;
  let raw = false;
  if (source.at(start) === "b" || source.at(start) === "B") {
    bytes = true;
    start++;
  }
  if (source.at(start) === "r" || source.at(start) === "R") {
    raw = true;
    start++;
  }
  const quote = source.at(start);
  if (quote !== '"' && quote !== "'") return undefined;
  if (source.at(start + 1) === quote && source.at(start + 2) === quote) {
    const end = closing(source, start + 3, quote.repeat(3), raw, true);
    if (end !== undefined) return { end, bytes };
  }
  const end = closing(source, start + 1, quote, raw, false);
  return end === undefined ? undefined : { end, bytes };
}

function closing(source: Source, from: number, quote: string, raw: boolean, lines: boolean): number | undefined {
  let at = from;
  while (at < source.length) {
    const char = source.at(at);
    if (char === quote.charAt(0) && source.slice(at, at + quote.length) === quote) return at + quote.length;
    if (!lines && (char === "\n" || char === "\r")) return undefined;
    if (char === "\\" && !raw) {
      const length = escapeLength(source, at);
      if (length === 0) return undefined;
      at += length;
    } else at++;
  }
  return undefined;
}

function escapeLength(source: Source, at: number): number {
  const char = source.at(at + 1);
  if (SIMPLE_ESCAPES.has(char)) return 2;
  const digits = { x: 2, X: 2, u: 4, U: 8 }[char];
  if (digits !== undefined) {
    for (let index = 0; index < digits; index++) if (!isHex(source.at(at + 2 + index))) return 0;
    return 2 + digits;
  }
  return /^[0-3][0-7][0-7]$/.test(source.slice(at + 1, at + 4)) ? 4 : 0;
}

/** How much is left out where no token starts: what a started string or operator swallowed. */
function unrecognised(source: Source, at: number): number {
  let start = at;
  if (/^[bBrR]$/.test(source.at(start))) start++;
  const quote = source.at(start);
  if ("=&|".includes(source.at(at))) return Math.min(2, source.length - at);
  if (quote !== '"' && quote !== "'") return 1;
  let end = start + 1;
  while (end < source.length && source.at(end) !== "\n" && source.at(end) !== "\r") {
    if (source.at(end) === "\\") {
      const length = escapeLength(source, end);
      if (length === 0) return Math.min(end + 2, source.length) - at;
      end += length;
    } else end++;
  }
  return Math.min(end + (end < source.length ? 1 : 0), source.length) - at;
}

function isLetter(char: string): boolean {
  return (char >= "a" && char <= "z") || (char >= "A" && char <= "Z") || char === "_";
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9";
}

function isHex(char: string): boolean {
  return isDigit(char) || (char >= "a" && char <= "f") || (char >= "A" && char <= "F");
}
