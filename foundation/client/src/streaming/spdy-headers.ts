import { constants, inflateRawSync } from "node:zlib";
import { spdyDictionary } from "./spdy-dictionary.ts";

/** Header names (lower case) and values of one SPDY stream. */
export type SpdyHeaders = ReadonlyMap<string, string>;

const WINDOW = 32_768;
const MAX_BLOCK = 65_536;
const MAX_STORED = 65_535;
/** An empty stored block: without it at its end, a block is not understood until the next one arrives. */
const SYNC_MARK = Buffer.from([0, 0, 0, 0xff, 0xff]);
const PRESET_DICTIONARY = 0x20;

/** Reads the header blocks of one direction of a connection; they share one compression state, so order matters. */
export class SpdyHeaderReader {
  /** The last 32 KiB of plain text, which later blocks refer back to. */
  #history: Buffer | undefined;

  /** Throws on anything that is not a header block of at most 64 KiB. */
  read(block: Buffer): SpdyHeaders {
    if (block.length === 0) return new Map();
    let body = block;
    if (this.#history === undefined) {
      if (block.length < 2 || (block[0]! & 0x0f) !== 8) throw new Error("SPDY header block is not zlib data");
      const preset = (block[1]! & PRESET_DICTIONARY) !== 0;
      this.#history = preset ? spdyDictionary() : Buffer.alloc(0);
      body = block.subarray(preset ? 6 : 2);
    }
    const plain = inflateRawSync(body, {
      ...(this.#history.length === 0 ? {} : { dictionary: this.#history }),
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: MAX_BLOCK,
    });
    const history = Buffer.concat([this.#history, plain]);
    this.#history = history.length > WINDOW ? Buffer.from(history.subarray(history.length - WINDOW)) : history;
    return parseNameValues(plain);
  }
}

function parseNameValues(plain: Buffer): SpdyHeaders {
  const headers = new Map<string, string>();
  let at = 0;
  const integer = (): number => {
    if (at + 4 > plain.length) throw new Error("SPDY header block is cut off");
    at += 4;
    return plain.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = integer();
    if (at + length > plain.length) throw new Error("SPDY header block is cut off");
    at += length;
    return plain.toString("latin1", at - length, at);
  };
  const count = integer();
  for (let i = 0; i < count; i++) {
    const name = text().toLowerCase();
    headers.set(name, text());
  }
  return headers;
}

/** Writes the header blocks of one direction, uncompressed: the blocks are small and few. */
export class SpdyHeaderWriter {
  #isFirst = true;

  write(headers: SpdyHeaders): Buffer {
    const plain = nameValues(headers);
    if (plain.length > MAX_STORED) throw new Error("SPDY headers are too large");
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(plain.length, 1);
    stored.writeUInt16LE(~plain.length & 0xffff, 3);
    const parts = [stored, plain, SYNC_MARK];
    if (this.#isFirst) parts.unshift(Buffer.from([0x78, 0x01]));
    this.#isFirst = false;
    return Buffer.concat(parts);
  }
}

function nameValues(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [u32(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name.toLowerCase(), value]) {
      const bytes = Buffer.from(text, "latin1");
      parts.push(u32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
