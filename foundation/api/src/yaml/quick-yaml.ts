import { resolvePlainScalar } from "./quick-scalar.ts";
import { joinBlockLines, unquoteDouble, unquoteSingle } from "./quick-text.ts";

/** A member that a map of the text has already. */
export interface RepeatedMember {
  readonly line: number;
  readonly key: string;
}

export interface QuickDocument {
  readonly value: unknown;
  /** In the order of the text, the first hundred. */
  readonly repeated: readonly RepeatedMember[];
}

/** Deepest nesting of a text that is read. */
export const DEEPEST = 1000;
const MOST_REPEATED = 100;

/** The text needs the whole of YAML, or is none. */
const UNSURE = Symbol("unsure");

/** What no parser of the API's clients takes, although others do. */
export class MalformedYaml extends Error {
  override readonly name = "MalformedYaml";
}

/** Line breaks and characters that few texts have, and on which parsers differ. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const ODD_CHARACTERS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/;
const BLOCK_HEADER = /([|>])(?:([1-9])([+-])?|([+-])([1-9])?)?[ \t]*(?:(?<=[ \t])#[^\n]*)?(?:\n|$)/y;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const DASH = 0x2d;
const COLON = 0x3a;
const HASH = 0x23;
const DOUBLE = 0x22;
const SINGLE = 0x27;
const QUESTION = 0x3f;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAP = 0x7b;
const CLOSE_MAP = 0x7d;
/** What a plain scalar cannot begin with: `!&*%@|>` and the backtick, beside quotes, brackets, commas and comments. */
const INDICATORS = new Set(Buffer.from("!&*%@|>`\"'{}[],#"));

const isBlank = (code: number): boolean => code === SPACE || code === TAB;
const isOpening = (code: number): boolean => code === OPEN_LIST || code === OPEN_MAP;
const isFlowMark = (code: number): boolean =>
  code === COMMA || code === OPEN_LIST || code === CLOSE_LIST || code === OPEN_MAP || code === CLOSE_MAP;

class QuickReader {
  readonly repeated: RepeatedMember[] = [];
  readonly #text: string;
  #at = 0;
  #lineStart = 0;
  #depth = 0;
  #countedTo = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    this.#skipBlankLines();
    if (this.#text[this.#at] === "%") throw UNSURE;
    if (this.#isMarker()) {
      if (this.#text[this.#at] === ".") throw UNSURE;
      this.#at += 3;
    }
    const value = this.#block(-1, this.#at === this.#lineStart);
    this.#skipBlankLines();
    if (this.#at < this.#text.length) throw UNSURE;
    return value;
  }

  /** NaN at the end. */
  #code(offset = 0): number {
    return this.#text.charCodeAt(this.#at + offset);
  }

  /** Whether a character that stands for something only before a space stands for it here. */
  #endsAfter(offset: number): boolean {
    const code = this.#code(offset);
    return code === SPACE || code === NEWLINE || code === TAB || Number.isNaN(code);
  }

  get #column(): number {
    return this.#at - this.#lineStart;
  }

  #isMarker(): boolean {
    if (this.#at !== this.#lineStart) return false;
    const isOne = this.#text.startsWith("---", this.#at) || this.#text.startsWith("...", this.#at);
    return isOne && this.#endsAfter(3);
  }

  /** To the next character that is neither space nor comment, on this line or a later one. */
  #skipBlankLines(): void {
    for (;;) {
      const code = this.#code();
      if (code === SPACE) this.#at++;
      else if (code === NEWLINE) this.#lineStart = ++this.#at;
      else if (code === TAB) throw UNSURE;
      else if (code === HASH && (this.#at === this.#lineStart || isBlank(this.#code(-1)))) this.#toLineEnd();
      else return;
    }
  }

  #toLineEnd(): void {
    const end = this.#text.indexOf("\n", this.#at);
    this.#at = end === -1 ? this.#text.length : end;
  }

  /** Nothing but a comment may follow on the line. */
  #endLine(): void {
    while (isBlank(this.#code())) this.#at++;
    const code = this.#code();
    if (code === HASH && isBlank(this.#code(-1))) this.#toLineEnd();
    else if (code !== NEWLINE && !Number.isNaN(code)) throw UNSURE;
  }

  /**
   * The node behind an indicator, or on lines indented deeper than `parent`. `mayNest`: a map or list may begin on the
   * line; `isMember`: a list may be indented as the name of the member is.
   */
  #block(parent: number, mayNest: boolean, isMember = false): unknown {
    while (isBlank(this.#code())) {
      if (this.#code() === TAB && mayNest) throw UNSURE;
      this.#at++;
    }
    const code = this.#code();
    const isComment = code === HASH && (this.#at === this.#lineStart || isBlank(this.#code(-1)));
    if (code !== NEWLINE && !isComment && !Number.isNaN(code)) return this.#content(parent, mayNest);
    this.#skipBlankLines();
    const isNested = this.#column > parent || (isMember && this.#column === parent && this.#isDash());
    if (this.#at >= this.#text.length || !isNested || this.#isMarker()) return null;
    return this.#content(parent, true);
  }

  #isDash(): boolean {
    return this.#code() === DASH && this.#endsAfter(1);
  }

  #content(parent: number, mayNest: boolean): unknown {
    if (++this.#depth > DEEPEST) throw UNSURE;
    const value = this.#nodeOf(parent, mayNest);
    this.#depth--;
    return value;
  }

  #nodeOf(parent: number, mayNest: boolean): unknown {
    const code = this.#code();
    if (this.#isDash()) {
      if (!mayNest) throw UNSURE;
      return this.#list(this.#column);
    }
    if (mayNest && this.#isMember()) return this.#map(this.#column);
    if (code === DOUBLE || code === SINGLE) {
      const text = this.#quoted();
      this.#endLine();
      return text;
    }
    if (code === OPEN_MAP || code === OPEN_LIST) {
      const value = this.#flow();
      this.#endLine();
      return value;
    }
    if (code === 0x7c || code === 0x3e) return this.#blockText(parent);
    return this.#plain(parent);
  }

  /** Whether the line begins with the name of a member. */
  #isMember(): boolean {
    const start = this.#at;
    const code = this.#code();
    if (code === DOUBLE || code === SINGLE) {
      const end = this.#closingQuote(code);
      const line = this.#text.indexOf("\n", start);
      if (line !== -1 && line < end) return false;
      this.#at = end + 1;
      while (isBlank(this.#code())) this.#at++;
      const isOne = this.#code() === COLON && this.#endsAfter(1);
      this.#at = start;
      return isOne;
    }
    if (INDICATORS.has(code)) return false;
    const end = this.#plainEnd(false);
    return this.#text.charCodeAt(end) === COLON;
  }

  /** Where a plain scalar of one line ends: before `: `, ` #`, the line break or, in brackets, one of `,[]{}`. */
  #plainEnd(inFlow: boolean): number {
    const text = this.#text;
    let at = this.#at;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code > COLON && !inFlow) continue;
      if (code === NEWLINE) return at;
      if (code === HASH && isBlank(text.charCodeAt(at - 1))) return at;
      if (inFlow && isOpening(code)) throw new MalformedYaml("did not find expected ',' or '}'");
      if (inFlow && isFlowMark(code)) return at;
      if (inFlow && code === QUESTION) throw UNSURE;
      if (code !== COLON) continue;
      const next = text.charCodeAt(at + 1);
      if (next === SPACE || next === NEWLINE || next === TAB || Number.isNaN(next)) return at;
      // A colon is the text's own here, and behind text nothing opens.
      if (inFlow && isOpening(next)) throw new MalformedYaml("did not find expected ',' or '}'");
      // Some parsers end here, others do not.
      if (inFlow && isFlowMark(next)) throw UNSURE;
    }
    return at;
  }

  /** The name of a member, with its colon. */
  #name(inFlow: boolean): string {
    const code = this.#code();
    let name: string;
    if (code === DOUBLE || code === SINGLE) {
      const lineStart = this.#lineStart;
      name = this.#quoted();
      while (isBlank(this.#code())) this.#at++;
      if (this.#lineStart !== lineStart) throw UNSURE;
    } else {
      if (INDICATORS.has(code)) throw UNSURE;
      if (inFlow && code === COLON && this.#code(1) === DOUBLE)
        throw new MalformedYaml("did not find expected node content");
      if (inFlow && code === COLON) throw UNSURE;
      if ((code === QUESTION || code === DASH) && this.#endsAfter(1)) throw UNSURE;
      const end = this.#plainEnd(inFlow);
      const text = this.#text.slice(this.#at, end).trimEnd();
      this.#at = end;
      const value = resolvePlainScalar(text);
      const isFraction = typeof value === "number" && !Number.isSafeInteger(value);
      if (value === null || value === undefined || isFraction || text === "<<") throw UNSURE;
      name = String(value);
    }
    if (this.#code() !== COLON) throw UNSURE;
    this.#at++;
    return name;
  }

  #map(column: number): unknown {
    const out: Record<string, unknown> = {};
    for (;;) {
      const start = this.#at;
      const name = this.#name(false);
      this.#noteName(out, name, start);
      setMember(out, name, this.#block(column, false, true));
      this.#skipBlankLines();
      if (this.#at >= this.#text.length || this.#column < column || this.#isMarker()) return out;
      if (this.#column > column || this.#isDash() || !this.#isMember()) throw UNSURE;
    }
  }

  #list(column: number): unknown {
    const out: unknown[] = [];
    for (;;) {
      this.#at++;
      out.push(this.#block(column, true));
      this.#skipBlankLines();
      if (this.#at >= this.#text.length || this.#column < column || this.#isMarker()) return out;
      if (this.#column > column) throw UNSURE;
      if (!this.#isDash()) return out;
    }
  }

  #noteName(out: object, name: string, at: number): void {
    if (!Object.hasOwn(out, name) || this.repeated.length === MOST_REPEATED) return;
    for (let next = this.#text.indexOf("\n", this.#countedTo); next !== -1 && next < at;) {
      this.#line++;
      this.#countedTo = next + 1;
      next = this.#text.indexOf("\n", this.#countedTo);
    }
    this.repeated.push({ line: this.#line, key: name });
  }

  #closingQuote(quote: number): number {
    const text = this.#text;
    let at = this.#at + 1;
    if (quote === SINGLE) {
      for (;;) {
        at = text.indexOf("'", at);
        if (at === -1) throw UNSURE;
        if (text.charCodeAt(at + 1) !== SINGLE) return at;
        at += 2;
      }
    }
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === DOUBLE) return at;
      if (code === 0x5c) at++;
    }
    throw UNSURE;
  }

  #quoted(): string {
    const quote = this.#code();
    const end = this.#closingQuote(quote);
    const raw = this.#text.slice(this.#at + 1, end);
    const text = quote === SINGLE ? unquoteSingle(raw) : unquoteDouble(raw);
    if (text === undefined) throw UNSURE;
    this.#at = end + 1;
    const line = raw.lastIndexOf("\n");
    if (line !== -1) this.#lineStart = end - raw.length + line + 1;
    return text;
  }

  /** A plain scalar, with the lines that go on with it. */
  #plain(parent: number): unknown {
    const code = this.#code();
    if (INDICATORS.has(code) || ((code === QUESTION || code === COLON) && this.#endsAfter(1))) throw UNSURE;
    let end = this.#plainEnd(false);
    let text = this.#text.slice(this.#at, end).trimEnd();
    let lines: string[] | undefined;
    for (;;) {
      this.#at = end;
      if (this.#code() === COLON) throw UNSURE;
      if (this.#code() === HASH) {
        this.#toLineEnd();
        break;
      }
      const next = this.#continued(parent);
      if (next === undefined) break;
      end = this.#plainEnd(false);
      (lines ??= [text]).push(next, this.#text.slice(this.#at, end).trimEnd());
    }
    if (lines !== undefined) text = lines.join("");
    const value = resolvePlainScalar(text);
    if (value === undefined) throw UNSURE;
    return value;
  }

  /** Goes to the next line of a plain scalar, if there is one: answers what joins the two. */
  #continued(parent: number): string | undefined {
    let lineStart = this.#at;
    let at = this.#at;
    let breaks = 0;
    for (;;) {
      const code = this.#text.charCodeAt(at);
      if (code === TAB) throw UNSURE;
      if (code === NEWLINE) {
        breaks++;
        lineStart = at + 1;
      } else if (code !== SPACE) {
        if (Number.isNaN(code) || code === HASH || breaks === 0 || at - lineStart <= parent) return undefined;
        break;
      }
      at++;
    }
    const before = { at: this.#at, lineStart: this.#lineStart };
    [this.#at, this.#lineStart] = [at, lineStart];
    if (this.#isMarker()) {
      [this.#at, this.#lineStart] = [before.at, before.lineStart];
      return undefined;
    }
    return breaks === 1 ? " " : "\n".repeat(breaks - 1);
  }

  #blockText(parent: number): string {
    BLOCK_HEADER.lastIndex = this.#at;
    const header = BLOCK_HEADER.exec(this.#text);
    if (header === null || parent < 0) throw UNSURE;
    this.#at = this.#lineStart = BLOCK_HEADER.lastIndex;
    const given = header[2] ?? header[5];
    const mark = header[3] ?? header[4];
    const chomping = mark === "-" ? "strip" : mark === "+" ? "keep" : "clip";
    let indent = given === undefined ? undefined : parent + Number(given);
    const lines: string[] = [];
    let ends = true;
    while (this.#at < this.#text.length) {
      const next = this.#text.indexOf("\n", this.#at);
      const end = next === -1 ? this.#text.length : next;
      let start = this.#at;
      while (
        start < end &&
        (indent === undefined || start < this.#at + indent) &&
        this.#text.charCodeAt(start) === SPACE
      )
        start++;
      const width = start - this.#at;
      const code = start < end ? this.#text.charCodeAt(start) : NEWLINE;
      if (code === TAB && width < (indent ?? Number.POSITIVE_INFINITY)) throw UNSURE;
      if (code !== NEWLINE) {
        // Blank lines before the first one must not be indented deeper than it is.
        if (indent === undefined && width > parent) indent = this.#firstIndent(width, lines);
        if (indent === undefined || width < indent) break;
        lines.push(this.#text.slice(start, end));
      } else lines.push(indent === undefined ? " ".repeat(width) : "");
      ends = next !== -1;
      this.#at = this.#lineStart = ends ? end + 1 : end;
    }
    if (indent === undefined && lines.some((line) => line !== "")) throw UNSURE;
    return joinBlockLines(lines, { folds: header[1] === ">", chomping }, ends);
  }

  #firstIndent(indent: number, blank: string[]): number {
    for (let i = 0; i < blank.length; i++) {
      if ((blank[i] ?? "").length > indent) throw UNSURE;
      blank[i] = "";
    }
    return indent;
  }

  #skipInFlow(): void {
    for (;;) {
      const code = this.#code();
      if (isBlank(code)) this.#at++;
      else if (code === NEWLINE) {
        this.#lineStart = ++this.#at;
        if (this.#isMarker()) throw UNSURE;
      } else if (code === HASH && (this.#at === this.#lineStart || isBlank(this.#code(-1)))) this.#toLineEnd();
      else return;
    }
  }

  /** A value in brackets, or the brackets themselves. */
  #flow(): unknown {
    const code = this.#code();
    if (code === OPEN_MAP || code === OPEN_LIST) {
      if (++this.#depth > DEEPEST) throw UNSURE;
      const value = code === OPEN_MAP ? this.#flowMap() : this.#flowList();
      this.#depth--;
      return value;
    }
    if (code === DOUBLE || code === SINGLE) return this.#quoted();
    if (INDICATORS.has(code) || Number.isNaN(code)) throw UNSURE;
    if (code === COLON) throw UNSURE;
    if (code === DASH && (this.#endsAfter(1) || isFlowMark(this.#code(1)))) throw UNSURE;
    const end = this.#plainEnd(true);
    const value = resolvePlainScalar(this.#text.slice(this.#at, end).trimEnd());
    this.#at = end;
    if (value === undefined) throw UNSURE;
    return value;
  }

  #flowMap(): unknown {
    const out: Record<string, unknown> = {};
    this.#at++;
    for (;;) {
      this.#skipInFlow();
      if (this.#code() === CLOSE_MAP) break;
      const start = this.#at;
      const name = this.#name(true);
      this.#noteName(out, name, start);
      this.#skipInFlow();
      const code = this.#code();
      setMember(out, name, code === COMMA || code === CLOSE_MAP ? null : this.#flow());
      this.#skipInFlow();
      if (this.#code() === COMMA) this.#at++;
      else if (this.#code() !== CLOSE_MAP) throw UNSURE;
    }
    this.#at++;
    return out;
  }

  #flowList(): unknown {
    const out: unknown[] = [];
    this.#at++;
    for (;;) {
      this.#skipInFlow();
      if (this.#code() === CLOSE_LIST) break;
      out.push(this.#flow());
      this.#skipInFlow();
      if (this.#code() === COMMA) this.#at++;
      else if (this.#code() !== CLOSE_LIST) throw UNSURE;
    }
    this.#at++;
    return out;
  }
}

function setMember(out: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(out, name, { value, enumerable: true, configurable: true, writable: true });
  } else out[name] = value;
}

/**
 * Reads one document of YAML in time linear in its length: maps and lists in lines and in brackets, scalars of every
 * style, comments. Undefined: the text has what only a whole parser reads rightly (anchors, tags, merges, several
 * documents, names that are no scalars), or is no YAML. Throws MalformedYaml.
 */
export function readQuickYaml(text: string): QuickDocument | undefined {
  const lines = text.includes("\r") ? text.replaceAll(/\r\n?/g, "\n") : text;
  if (ODD_CHARACTERS.test(lines)) return undefined;
  const reader = new QuickReader(lines);
  try {
    return { value: reader.document(), repeated: reader.repeated };
  } catch (error) {
    if (error === UNSURE) return undefined;
    throw error;
  }
}
