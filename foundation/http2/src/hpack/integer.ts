import { ConnectionError, errorCode } from "../error-code.ts";

/** Where a decoder stands. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

const fault = (message: string): ConnectionError => new ConnectionError(errorCode.compressionError, message);

/** Reads an integer with a prefix of `bits` bits (RFC 7541, section 5.1). Nothing here needs more than 28 bits. */
export function readInteger(cursor: Cursor, bits: number): number {
  const { bytes } = cursor;
  const mask = (1 << bits) - 1;
  let value = bytes[cursor.at++]! & mask;
  if (value < mask) return value;
  for (let shift = 0; shift <= 21; shift += 7) {
    if (cursor.at >= bytes.length) throw fault("a number is cut off");
    const byte = bytes[cursor.at++]!;
    value += (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw fault("a number is too large");
}

/** Writes an integer behind the `first` bits of its octet; answers where the next byte goes. */
export function writeInteger(target: Buffer, at: number, first: number, bits: number, value: number): number {
  const mask = (1 << bits) - 1;
  if (value < mask) {
    target[at] = first | value;
    return at + 1;
  }
  target[at++] = first | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}
