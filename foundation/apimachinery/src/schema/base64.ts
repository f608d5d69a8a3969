const NEWLINES = new Set([0x0a, 0x0d]);
const PADDING = 0x3d;

const isDigit = (byte: number): boolean =>
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  (byte >= 0x30 && byte <= 0x39) ||
  byte === 0x2b ||
  byte === 0x2f;

/** Where a text stops being base64, as Go's decoder counts; its length when only more would make it right. */
export function corruptByte(text: Uint8Array): number {
  for (let at = 0; ;) {
    for (let digits = 0; digits < 4;) {
      if (at >= text.length) return at - digits;
      const byte = text[at++] ?? 0;
      if (NEWLINES.has(byte)) continue;
      if (isDigit(byte)) {
        digits++;
        continue;
      }
      if (byte !== PADDING || digits < 2) return at - 1;
      return afterPadding(text, at, digits);
    }
  }
}

/** The first `=` ends the text, alone or with a second one. */
function afterPadding(text: Uint8Array, start: number, digits: number): number {
  let at = skipNewlines(text, start);
  if (digits === 2) {
    if (at >= text.length) return text.length;
    if (text[at] !== PADDING) return at - 1;
    at = skipNewlines(text, at + 1);
  }
  return at;
}

function skipNewlines(text: Uint8Array, start: number): number {
  let at = start;
  while (at < text.length && NEWLINES.has(text[at] ?? 0)) at++;
  return at;
}
