/** Something wrong with an expression, at a place in its text. */
export interface CelIssue {
  readonly message: string;
  /** The place in code points from the start; undefined where there is none. */
  readonly at: number | undefined;
}

/** The longest line that an error message shows. */
const MAX_SNIPPET = 16_384;
/** How many issues are shown. */
const MAX_ISSUES = 100;

/** The text of an expression, in code points, with its lines. */
export class Source {
  readonly text: string;
  readonly #lineStarts: number[] = [0];
  readonly #codePoints: readonly string[] | undefined;

  constructor(text: string) {
    this.text = text;
    let plain = true;
    for (let index = 0; index < text.length; index++) {
      if (text.charCodeAt(index) > 127) {
        plain = false;
        break;
      }
    }
    this.#codePoints = plain ? undefined : Array.from(text);
    const length = this.length;
    for (let index = 0; index < length; index++) if (this.at(index) === "\n") this.#lineStarts.push(index + 1);
  }

  /** How many code points there are. */
  get length(): number {
    return this.#codePoints === undefined ? this.text.length : this.#codePoints.length;
  }

  /** The code point at a place, and the empty string behind the end. */
  at(index: number): string {
    return this.#codePoints === undefined ? this.text.charAt(index) : (this.#codePoints[index] ?? "");
  }

  /** The text between two places. */
  slice(start: number, end: number): string {
    return this.#codePoints === undefined ? this.text.slice(start, end) : this.#codePoints.slice(start, end).join("");
  }

  /** Line from 1 and column from 0. */
  locate(at: number | undefined): { line: number; column: number } {
    if (at === undefined) return { line: -1, column: -1 };
    if (this.length === 0) return { line: 1, column: -1 };
    let line = 1;
    while (line < this.#lineStarts.length && this.#lineStarts[line]! <= at) line++;
    return { line, column: at - this.#lineStarts[line - 1]! };
  }

  /** All issues in order of their places, each with its line and a caret under the place. */
  format(issues: readonly CelIssue[]): string {
    const placed = issues.slice(0, MAX_ISSUES).map((issue) => ({ issue, ...this.locate(issue.at) }));
    placed.sort((a, b) => a.line - b.line || a.column - b.column);
    const shown = placed.map(({ issue, line, column }) => this.#format(issue.message, line, column));
    if (issues.length > MAX_ISSUES) shown.push(`${issues.length - MAX_ISSUES} more errors were truncated`);
    return shown.join("\n");
  }

  #format(message: string, line: number, column: number): string {
    const head = `ERROR: <input>:${line}:${column + 1}: ${message}`;
    if (line < 1 || this.length === 0 || line > this.#lineStarts.length) return head;
    const start = this.#lineStarts[line - 1]!;
    const end = line < this.#lineStarts.length ? this.#lineStarts[line]! - 1 : this.length;
    const snippet = this.slice(start, end).replaceAll("\t", " ");
    if (Buffer.byteLength(snippet) > MAX_SNIPPET) return head;
    let marker = "";
    const points = Array.from(snippet);
    for (let index = 0; index < column && index < points.length; index++) marker += isWide(points[index]) ? "．" : ".";
    marker += isWide(points[column]) ? "＾" : "^";
    return `${head}\n | ${snippet}\n | ${marker}`;
  }
}

function isWide(point: string | undefined): boolean {
  return point !== undefined && point.codePointAt(0)! > 127;
}
