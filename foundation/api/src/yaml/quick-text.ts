const SHORT: Readonly<Record<string, string>> = {
  "0": "\0",
  a: "\u0007",
  b: "\b",
  t: "\t",
  "\t": "\t",
  n: "\n",
  v: "\v",
  f: "\f",
  r: "\r",
  e: "\u001b",
  " ": " ",
  '"': '"',
  "/": "/",
  "\\": "\\",
  N: "\u0085",
  _: "\u00a0",
  L: "\u2028",
  P: "\u2029",
};

/** Line breaks, tabs, and escapes beyond the short ones of JSON. */
const NOT_JSON = /[\n\t]|\\[^nrtbf"\\/]/;

const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
const MARKER_LINE = /\n(?:---|\.\.\.)(?:[ \t\n]|$)/;

/** Line breaks of quoted text: one is a space, more are one fewer. */
const folded = (text: string): string =>
  text.replace(/[ \t]*\n[ \t]*((?:\n[ \t]*)*)/g, (_, more: string) => {
    const lines = more.length === 0 ? 0 : more.split("\n").length - 1;
    return lines === 0 ? " " : "\n".repeat(lines);
  });

/** The inside of a text in single quotes; undefined when it holds the start of a document. */
export function unquoteSingle(raw: string): string | undefined {
  let text = raw;
  if (text.includes("\n")) {
    if (MARKER_LINE.test(text)) return undefined;
    text = folded(text);
  }
  return text.includes("'") ? text.replaceAll("''", "'") : text;
}

/** The inside of a text in double quotes; undefined for an escape that YAML does not have. */
export function unquoteDouble(raw: string): string | undefined {
  if (raw.includes("\n") && MARKER_LINE.test(raw)) return undefined;
  if (!raw.includes("\\")) return raw.includes("\n") ? folded(raw) : raw;
  // What JSON has too is read by the engine itself.
  if (!NOT_JSON.test(raw)) return JSON.parse(`"${raw}"`) as string;
  const out: string[] = [];
  let start = 0;
  for (let at = raw.indexOf("\\"); at !== -1; at = raw.indexOf("\\", start)) {
    if (at > start) out.push(folded(raw.slice(start, at)));
    const letter = raw[at + 1] ?? "";
    const digits = DIGITS[letter];
    if (letter === "\n") {
      start = at + 2;
      // The break is no part of the text, nor what the next lines are indented by.
      const next = /[ \t]*((?:\n[ \t]*)*)/y;
      next.lastIndex = start;
      const breaks = next.exec(raw)?.[1] ?? "";
      out.push("\n".repeat(breaks.split("\n").length - 1));
      start = next.lastIndex;
    } else if (digits !== undefined) {
      const code = raw.slice(at + 2, at + 2 + digits);
      const value = /^[0-9a-fA-F]+$/.test(code) && code.length === digits ? Number.parseInt(code, 16) : -1;
      if (value < 0 || value > 0x10_ffff || (value >= 0xd800 && value <= 0xdfff)) return undefined;
      out.push(String.fromCodePoint(value));
      start = at + 2 + digits;
    } else {
      const text = SHORT[letter];
      if (text === undefined) return undefined;
      out.push(text);
      start = at + 2;
    }
  }
  out.push(folded(raw.slice(start)));
  return out.join("");
}

/** Lines of a block scalar put together: what is folded, and what becomes of the last line breaks. */
export interface BlockStyle {
  readonly folds: boolean;
  readonly chomping: "clip" | "strip" | "keep";
}

const startsBlank = (line: string): boolean => line.startsWith(" ") || line.startsWith("\t");

/** The text of a block scalar, from its lines without their indentation. `ends`: whether the last one has its break. */
export function joinBlockLines(lines: readonly string[], { folds, chomping }: BlockStyle, ends: boolean): string {
  const out: string[] = [];
  let before = "";
  let blank = 0;
  let wasIndented = false;
  for (const [i, line] of lines.entries()) {
    if (line === "") {
      blank++;
      continue;
    }
    const isIndented = startsBlank(line);
    if (folds && before !== "" && !wasIndented && !isIndented) {
      if (blank === 0) out.push(" ");
    } else out.push(before);
    if (blank > 0) out.push("\n".repeat(blank));
    out.push(line);
    blank = 0;
    wasIndented = isIndented;
    before = i === lines.length - 1 && !ends ? "" : "\n";
  }
  if (chomping !== "strip") out.push(before);
  if (chomping === "keep" && blank > 0) out.push("\n".repeat(blank));
  return out.join("");
}
