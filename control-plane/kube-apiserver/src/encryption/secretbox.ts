import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Cipher } from "./aes.ts";

/** NaCl's secretbox: XSalsa20 and Poly1305. OpenSSL has neither. */
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const SIGMA = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

/** The Salsa20 permutation of 16 words, 20 rounds. */
function permute(x: Int32Array): void {
  const quarter = (a: number, b: number, c: number, d: number): void => {
    x[b]! ^= rotate((x[a]! + x[d]!) | 0, 7);
    x[c]! ^= rotate((x[b]! + x[a]!) | 0, 9);
    x[d]! ^= rotate((x[c]! + x[b]!) | 0, 13);
    x[a]! ^= rotate((x[d]! + x[c]!) | 0, 18);
  };
  for (let round = 0; round < 10; round++) {
    quarter(0, 4, 8, 12);
    quarter(5, 9, 13, 1);
    quarter(10, 14, 2, 6);
    quarter(15, 3, 7, 11);
    quarter(0, 1, 2, 3);
    quarter(5, 6, 7, 4);
    quarter(10, 11, 8, 9);
    quarter(15, 12, 13, 14);
  }
}

/** Key and 16 bytes of input in the order of Salsa20's state. */
function stateOf(key: Buffer, input: Buffer): Int32Array {
  const state = new Int32Array(16);
  for (let i = 0; i < 4; i++) {
    state[i * 5] = SIGMA[i]!;
    state[1 + i] = key.readInt32LE(i * 4);
    state[6 + i] = input.readInt32LE(i * 4);
    state[11 + i] = key.readInt32LE(16 + i * 4);
  }
  return state;
}

/** The key for one nonce's first 16 bytes. */
function hSalsa20(key: Buffer, input: Buffer): Buffer {
  const words = stateOf(key, input);
  permute(words);
  const out = Buffer.alloc(32);
  [0, 5, 10, 15, 6, 7, 8, 9].forEach((from, to) => out.writeInt32LE(words[from]!, to * 4));
  return out;
}

/** So many bytes of key stream. */
function keyStream(key: Buffer, nonce: Buffer, length: number): Buffer {
  const blocks = Math.ceil(length / 64);
  const out = Buffer.allocUnsafe(blocks * 64);
  const input = Buffer.alloc(16);
  nonce.copy(input);
  const start = stateOf(key, input);
  const words = new Int32Array(16);
  for (let block = 0; block < blocks; block++) {
    start[8] = block;
    words.set(start);
    permute(words);
    for (let i = 0; i < 16; i++) out.writeInt32LE((words[i]! + start[i]!) | 0, block * 64 + i * 4);
  }
  return out;
}

const PRIME = (1n << 130n) - 5n;
const CLAMP = 0x0ffffffc0ffffffc0ffffffc0fffffffn;

const littleEndian = (bytes: Buffer): bigint =>
  bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);

/** RFC 8439, section 2.5. */
function poly1305(key: Buffer, message: Buffer): Buffer {
  const r = littleEndian(key.subarray(0, 16)) & CLAMP;
  const s = littleEndian(key.subarray(16, 32));
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = message.subarray(at, at + 16);
    sum = ((sum + littleEndian(block) + (1n << BigInt(block.length * 8))) * r) % PRIME;
  }
  const tag = BigInt.asUintN(128, sum + s)
    .toString(16)
    .padStart(32, "0");
  return Buffer.from(tag, "hex").reverse();
}

function streamOf(key: Buffer, nonce: Buffer, length: number): Buffer {
  return keyStream(hSalsa20(key, nonce.subarray(0, 16)), nonce.subarray(16), 32 + length);
}

function xor(data: Buffer, stream: Buffer): Buffer {
  const out = Buffer.allocUnsafe(data.length);
  for (let i = 0; i < data.length; i++) out[i] = data[i]! ^ stream[32 + i]!;
  return out;
}

/** The nonce comes first, then the tag. Nothing is bound. */
export function secretbox(key: Buffer): Cipher {
  return {
    open(data) {
      if (data.length < NONCE_BYTES + TAG_BYTES) {
        throw new Error("the stored data was shorter than the required size");
      }
      const sealed = data.subarray(NONCE_BYTES + TAG_BYTES);
      const stream = streamOf(key, data.subarray(0, NONCE_BYTES), sealed.length);
      const tag = data.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
      if (!timingSafeEqual(poly1305(stream.subarray(0, 32), sealed), tag)) {
        // Upstream's words.
        throw new Error("output array was not large enough for encryption");
      }
      return xor(sealed, stream);
    },
    seal(value) {
      const nonce = randomBytes(NONCE_BYTES);
      const stream = streamOf(key, nonce, value.length);
      const sealed = xor(value, stream);
      return Buffer.concat([nonce, poly1305(stream.subarray(0, 32), sealed), sealed]);
    },
  };
}
