const SIMPLE: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  "'": 39,
  '"': 34,
  "`": 96,
  "?": 63,
};

/** Why the text of a literal is none. */
export class UnescapeError extends Error {
  override readonly name = "UnescapeError";
}

/** The text that a string literal stands for. Throws UnescapeError. */
export function unescapeString(literal: string): string {
  const { body, raw } = unquote(literal);
  if (raw || !body.includes("\\")) return body;
  let out = "";
  for (const part of parts(body, false)) out += typeof part === "string" ? part : String.fromCodePoint(part.code);
  return out;
}

/** The bytes that a bytes literal stands for. Throws UnescapeError. */
export function unescapeBytes(literal: string): Uint8Array {
  const { body, raw } = unquote(literal.slice(1));
  if (raw || !body.includes("\\")) return Buffer.from(body, "utf8");
  const chunks: Uint8Array[] = [];
  for (const part of parts(body, true)) {
    chunks.push(typeof part === "string" ? Buffer.from(part, "utf8") : Uint8Array.of(part.code & 0xff));
  }
  return Buffer.concat(chunks);
}

function unquote(literal: string): { body: string; raw: boolean } {
  const normal = literal.replace(/\r\n?/g, "\n");
  const raw = /^[rR]/.test(normal);
  const quoted = raw ? normal.slice(1) : normal;
  const long = quoted.length >= 6 && (quoted.startsWith("'''") || quoted.startsWith('"""'));
  return { body: long ? quoted.slice(3, -3) : quoted.slice(1, -1), raw };
}

function* parts(body: string, bytes: boolean): Generator<string | { code: number }> {
  let at = 0;
  while (at < body.length) {
    const slash = body.indexOf("\\", at);
    if (slash === -1) {
      yield body.slice(at);
      return;
    }
    if (slash > at) yield body.slice(at, slash);
    const char = body.charAt(slash + 1);
    const simple = SIMPLE[char];
    if (simple !== undefined) {
      yield { code: simple };
      at = slash + 2;
      continue;
    }
    const digits = { x: 2, X: 2, u: 4, U: 8 }[char];
    if (digits === undefined) {
      yield codePoint(Number.parseInt(body.slice(slash + 1, slash + 4), 8), bytes);
      at = slash + 4;
      continue;
    }
    if (bytes && digits > 2) throw new UnescapeError("unable to unescape string");
    yield codePoint(Number.parseInt(body.slice(slash + 2, slash + 2 + digits), 16), bytes);
    at = slash + 2 + digits;
  }
}

function codePoint(code: number, bytes: boolean): { code: number } {
  if (!bytes && (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))) {
    throw new UnescapeError("invalid unicode code point");
  }
  return { code };
}
