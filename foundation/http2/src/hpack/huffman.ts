import { ConnectionError, errorCode } from "../error-code.ts";

/**
 * Lengths in bits of the codes of all octets and of the end of a string (RFC 7541, appendix B). The code is canonical:
 * the lengths say all.
 */
// prettier-ignore
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const END = 256;
const LONGEST = 30;
/** Codes up to so many bits are looked up, longer ones searched by length: text has next to none. */
const QUICK_BITS = 8;

const codes = new Uint32Array(257);
/** By length: the first code of that length, and where its symbol is in `sorted`. */
const firstCode = new Uint32Array(LONGEST + 2);
const firstIndex = new Uint32Array(LONGEST + 2);
const counts = new Uint32Array(LONGEST + 2);
const sorted: number[] = LENGTHS.map((_, symbol) => symbol).sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
/** By the next 8 bits: length and symbol, 0 when the code is longer. */
const quick = new Uint16Array(1 << QUICK_BITS);

let code = 0;
for (const [index, symbol] of sorted.entries()) {
  const length = LENGTHS[symbol]!;
  const before = index === 0 ? length : LENGTHS[sorted[index - 1]!]!;
  code <<= length - before;
  if (counts[length] === 0) {
    firstCode[length] = code;
    firstIndex[length] = index;
  }
  counts[length]! += 1;
  codes[symbol] = code;
  if (length <= QUICK_BITS) {
    const from = code << (QUICK_BITS - length);
    quick.fill((length << 8) | symbol, from, from + (1 << (QUICK_BITS - length)));
  }
  code += 1;
}

const fault = (message: string): ConnectionError => new ConnectionError(errorCode.compressionError, message);

const scratch = Buffer.allocUnsafeSlow(4096);

/** The text of Huffman-coded bytes (RFC 7541, section 5.2), a character for each octet. */
export function decodeHuffman(bytes: Buffer, from: number, to: number): string {
  // No code is shorter than five bits.
  const most = Math.ceil(((to - from) * 8) / 5);
  const target = most <= scratch.length ? scratch : Buffer.allocUnsafeSlow(most);
  let length = 0;
  /** The next `count` bits, in the low end. */
  let bits = 0;
  let count = 0;
  let at = from;
  for (;;) {
    if (count < QUICK_BITS && at < to) {
      bits = ((bits << 8) | bytes[at++]!) & 0xffff;
      count += 8;
      continue;
    }
    if (count === 0) break;
    const window = count >= QUICK_BITS ? (bits >>> (count - QUICK_BITS)) & 0xff : (bits << (QUICK_BITS - count)) & 0xff;
    const found = quick[window]!;
    if (found !== 0 && found >>> 8 <= count) {
      target[length++] = found & 0xff;
      count -= found >>> 8;
      bits &= (1 << count) - 1;
      continue;
    }
    // What is left over at the end must be the first bits of the end's code, which are ones.
    if (at === to && count < 8) {
      if (bits !== (1 << count) - 1) throw fault("a string is not padded with ones");
      break;
    }
    // A long code, bit by bit.
    let long = 0;
    let size = 0;
    let symbol = -1;
    while (symbol === -1) {
      if (count === 0) {
        if (at === to) throw fault("a string is cut off");
        bits = bytes[at++]!;
        count = 8;
      }
      count -= 1;
      long = (long << 1) | ((bits >>> count) & 1);
      size += 1;
      if (size > LONGEST) throw fault("no such code");
      const offset = long - firstCode[size]!;
      if (offset >= 0 && offset < counts[size]!) symbol = sorted[firstIndex[size]! + offset]!;
      // Padding of eight bits or more.
      else if (count === 0 && at === to) throw fault("a string is padded too long");
    }
    bits &= (1 << count) - 1;
    if (symbol === END) throw fault("a string holds its own end");
    target[length++] = symbol;
  }
  return target.toString("latin1", 0, length);
}

/** How many bytes a text takes Huffman-coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += LENGTHS[text.charCodeAt(i) & 0xff]!;
  return (bits + 7) >>> 3;
}

/** Writes a text Huffman-coded; answers where the next byte goes. */
export function encodeHuffman(text: string, target: Buffer, at: number): number {
  let bits = 0;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    let length = LENGTHS[symbol]!;
    const full = codes[symbol]!;
    // Never more than 7 + 24 bits at once.
    if (length > 24) {
      length -= 8;
      bits = ((bits << 8) | ((full >>> length) & 0xff)) >>> 0;
      count += 8;
      while (count >= 8) {
        count -= 8;
        target[at++] = bits >>> count;
      }
      bits &= (1 << count) - 1;
    }
    bits = ((bits << length) | (full & ((1 << length) - 1))) >>> 0;
    count += length;
    while (count >= 8) {
      count -= 8;
      target[at++] = bits >>> count;
    }
    bits &= (1 << count) - 1;
  }
  if (count > 0) target[at++] = (bits << (8 - count)) | (0xff >>> count);
  return at;
}
