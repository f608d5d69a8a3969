/**
 * Keys of the port are text. Bytes that are no UTF-8 become lone surrogates, U+DC00 and the byte: text that was decoded from UTF-8 has
 * none of these, so each sequence of bytes has its own text, and the way back is exact.
 */
const ESCAPE = 0xdc00;
const ESCAPED = /[\udc80-\udcff]/u;
const REPLACEMENT = "\ufffd";

/** The key that these bytes are. */
export function keyFromBytes(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes(REPLACEMENT)) return text;
  // It may be part of the key itself.
  if (Buffer.from(text).equals(bytes)) return text;
  let key = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length === 0) key += String.fromCharCode(ESCAPE + (bytes[at++] as number));
    else key += bytes.toString("utf8", at, (at += length));
  }
  return key;
}

/** The bytes of a key. */
export function keyToBytes(key: string): Buffer {
  if (!ESCAPED.test(key)) return Buffer.from(key, "utf8");
  const parts: Buffer[] = [];
  for (const char of key) {
    const code = char.codePointAt(0) as number;
    const isEscaped = code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff;
    parts.push(isEscaped ? Buffer.of(code - ESCAPE) : Buffer.from(char, "utf8"));
  }
  return Buffer.concat(parts);
}

/** Bytes of the well-formed UTF-8 sequence that starts here; 0: there is none (RFC 3629, section 4). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const length =
    first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1] as number;
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let next = at + 2; next < at + length; next++) {
    if (((bytes[next] as number) & 0xc0) !== 0x80) return 0;
  }
  return length;
}
