const LITERALS: Readonly<Record<string, string>> = { t: "true", f: "false", n: "null" };
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "'": "\\'",
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};
const DEEPEST = 10_000;
const AT_END = "unexpected end of JSON input";

class Fault extends Error {}

/** What Go does not print as it is. */
const isHidden = (code: number): boolean => code < 0x20 || (code >= 0x7f && code <= 0xa0) || code === 0xad;
const isSpace = (char: string): boolean => char === " " || char === "\t" || char === "\r" || char === "\n";
const isDigit = (char: string): boolean => char >= "0" && char <= "9";

function shown(char: string): string {
  const code = char.charCodeAt(0);
  const hex = code.toString(16).padStart(code < 0x80 ? 2 : 4, "0");
  return `'${SHORT_ESCAPES[char] ?? (isHidden(code) ? `${code < 0x80 ? "\\x" : "\\u"}${hex}` : char)}'`;
}

/** Walks through a text, a character a byte. */
class Walk {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): void {
    this.#value();
    this.#spaces();
    if (this.#at < this.#text.length) this.#refuse("after top-level value");
  }

  #peek(): string {
    if (this.#at >= this.#text.length) throw new Fault(AT_END);
    return this.#here();
  }

  /** The character here, `""` at the end. */
  #here(): string {
    return this.#text.charAt(this.#at);
  }

  /** The end of the text is as good as a space. */
  #refuse(where: string): never {
    throw new Fault(`invalid character ${shown(this.#here() || " ")} ${where}`);
  }

  #spaces(): void {
    while (isSpace(this.#here())) this.#at++;
  }

  /** One value with all in it; without recursion, whatever its depth. */
  #value(): void {
    const open: ("{" | "[")[] = [];
    for (;;) {
      this.#spaces();
      const char = this.#peek();
      let isWhole = true;
      if (char === "{" || char === "[") {
        if (open.length >= DEEPEST) this.#refuse("exceeded max depth");
        this.#at++;
        this.#spaces();
        if (this.#peek() === (char === "{" ? "}" : "]")) this.#at++;
        else {
          open.push(char);
          if (char === "{") this.#key();
          isWhole = false;
        }
      } else this.#scalar(char);
      if (!isWhole) continue;
      if (!this.#closes(open)) return;
    }
  }

  /** What follows a value: closes what ends here; false when nothing is open any longer. */
  #closes(open: ("{" | "[")[]): boolean {
    for (;;) {
      const inside = open.at(-1);
      if (inside === undefined) return false;
      this.#spaces();
      const next = this.#peek();
      if (next === ",") {
        this.#at++;
        this.#spaces();
        if (inside === "{") this.#key();
        return true;
      }
      if (next !== (inside === "{" ? "}" : "]"))
        this.#refuse(inside === "{" ? "after object key:value pair" : "after array element");
      this.#at++;
      open.pop();
    }
  }

  #key(): void {
    if (this.#peek() !== '"') this.#refuse("looking for beginning of object key string");
    this.#string();
    this.#spaces();
    if (this.#peek() !== ":") this.#refuse("after object key");
    this.#at++;
  }

  #scalar(char: string): void {
    const literal = LITERALS[char];
    if (char === '"') this.#string();
    else if (literal !== undefined) this.#literal(literal);
    else if (char === "-" || isDigit(char)) this.#number();
    else this.#refuse("looking for beginning of value");
  }

  #literal(word: string): void {
    for (const letter of word) {
      if (this.#here() !== letter) this.#refuse(`in literal ${word} (expecting '${letter}')`);
      this.#at++;
    }
  }

  #string(): void {
    for (this.#at++; this.#peek() !== '"'; this.#at++) {
      if (this.#peek() < " ") this.#refuse("in string literal");
      if (this.#peek() !== "\\") continue;
      this.#at++;
      if (this.#here() === "u")
        for (let i = 0; i < 4; i++) {
          this.#at++;
          if (!/[0-9a-fA-F]/.test(this.#here())) this.#refuse("in \\u hexadecimal character escape");
        }
      else if (!/[bfnrt\\/"]/.test(this.#here())) this.#refuse("in string escape code");
    }
    this.#at++;
  }

  #number(): void {
    if (this.#here() === "-") this.#at++;
    if (this.#here() === "0") this.#at++;
    else this.#digits("in numeric literal");
    if (this.#here() === ".") {
      this.#at++;
      this.#digits("after decimal point in numeric literal");
    }
    if (!/^[eE]/.test(this.#here())) return;
    this.#at++;
    if (/^[-+]/.test(this.#here())) this.#at++;
    this.#digits("in exponent of numeric literal");
  }

  #digits(where: string): void {
    if (!isDigit(this.#here())) this.#refuse(where);
    while (isDigit(this.#here())) this.#at++;
  }
}

/** Why bytes are no JSON, in Go's words; undefined when they are. */
export function jsonFaultIn(bytes: Uint8Array): string | undefined {
  try {
    new Walk(Buffer.from(bytes).toString("latin1")).whole();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error.message;
    throw error;
  }
}
