/** One SPDY/3.1 frame as it comes off the wire. Header blocks are still compressed; data may come in pieces. */
export type SpdyFrame =
  | { readonly type: "synStream"; readonly streamId: number; readonly fin: boolean; readonly headerBlock: Buffer }
  | { readonly type: "synReply"; readonly streamId: number; readonly fin: boolean; readonly headerBlock: Buffer }
  | { readonly type: "headers"; readonly streamId: number; readonly fin: boolean; readonly headerBlock: Buffer }
  | { readonly type: "rst"; readonly streamId: number; readonly status: number }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "goAway" }
  /** `fin` only on the last piece of the frame that carries it. */
  | { readonly type: "data"; readonly streamId: number; readonly fin: boolean; readonly data: Buffer }
  /** SETTINGS, WINDOW_UPDATE, and what the specification says to ignore. */
  | { readonly type: "ignored" };

const VERSION = 3;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const HEADERS = 8;
const FLAG_FIN = 1;
const HEAD_BYTES = 8;
/** Longest control frame taken; header blocks of streaming sessions are a few hundred bytes. */
const MAX_CONTROL_BYTES = 65_536;
/** Longest data frame sent. */
const MAX_DATA_BYTES = 65_536;

/** The peer does not speak SPDY/3. The connection cannot be used any more. */
export class SpdyProtocolError extends Error {
  override readonly name = "SpdyProtocolError";
}

/** Cuts a byte stream into frames. Holds at most one control frame; data passes through in the pieces it came in. */
export class SpdyFrameParser {
  #held: Buffer = Buffer.alloc(0);
  /** The data frame being passed through. */
  #data: { readonly streamId: number; readonly fin: boolean; remaining: number } | undefined;

  /** The frames that `chunk` completes. */
  *push(chunk: Buffer): Generator<SpdyFrame, void> {
    let input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    for (;;) {
      if (this.#data !== undefined) {
        const { streamId, fin, remaining } = this.#data;
        if (input.length === 0 && remaining > 0) return;
        const data = input.subarray(0, remaining);
        input = input.subarray(data.length);
        this.#data.remaining -= data.length;
        const isLast = this.#data.remaining === 0;
        if (isLast) this.#data = undefined;
        yield { type: "data", streamId, fin: fin && isLast, data };
        continue;
      }
      if (input.length < HEAD_BYTES) break;
      const flags = input[4]!;
      const length = input.readUIntBE(5, 3);
      const first = input.readUInt32BE(0);
      if (first < 0x8000_0000) {
        input = input.subarray(HEAD_BYTES);
        this.#data = { streamId: first, fin: (flags & FLAG_FIN) !== 0, remaining: length };
        continue;
      }
      if (((first >>> 16) & 0x7fff) !== VERSION) throw new SpdyProtocolError("unsupported SPDY version");
      if (length > MAX_CONTROL_BYTES) throw new SpdyProtocolError("SPDY control frame is too long");
      if (input.length < HEAD_BYTES + length) break;
      const body = input.subarray(HEAD_BYTES, HEAD_BYTES + length);
      input = input.subarray(HEAD_BYTES + length);
      yield controlFrame(first & 0xffff, flags, body);
    }
    this.#held = Buffer.from(input);
  }
}

function controlFrame(type: number, flags: number, body: Buffer): SpdyFrame {
  const fin = (flags & FLAG_FIN) !== 0;
  const need = (bytes: number): void => {
    if (body.length < bytes) throw new SpdyProtocolError("SPDY control frame is too short");
  };
  const id = (): number => body.readUInt32BE(0) & 0x7fff_ffff;
  switch (type) {
    case SYN_STREAM:
      need(10);
      return { type: "synStream", streamId: id(), fin, headerBlock: body.subarray(10) };
    case SYN_REPLY:
      need(4);
      return { type: "synReply", streamId: id(), fin, headerBlock: body.subarray(4) };
    case HEADERS:
      need(4);
      return { type: "headers", streamId: id(), fin, headerBlock: body.subarray(4) };
    case RST_STREAM:
      need(8);
      return { type: "rst", streamId: id(), status: body.readUInt32BE(4) };
    case PING:
      need(4);
      return { type: "ping", id: body.readUInt32BE(0) };
    case GOAWAY:
      return { type: "goAway" };
    default:
      return { type: "ignored" };
  }
}

function control(type: number, flags: number, body: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt16BE(0x8000 | VERSION, 0);
  head.writeUInt16BE(type, 2);
  head[4] = flags;
  head.writeUIntBE(
    body.reduce((sum, part) => sum + part.length, 0),
    5,
    3,
  );
  return Buffer.concat([head, ...body]);
}

function integers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}

export function synStreamFrame(streamId: number, headerBlock: Buffer): Buffer {
  return control(SYN_STREAM, 0, [integers(streamId, 0), Buffer.alloc(2), headerBlock]);
}

export function synReplyFrame(streamId: number, headerBlock: Buffer): Buffer {
  return control(SYN_REPLY, 0, [integers(streamId), headerBlock]);
}

export function rstFrame(streamId: number, status: number): Buffer {
  return control(RST_STREAM, 0, [integers(streamId, status)]);
}

export function pingFrame(id: number): Buffer {
  return control(PING, 0, [integers(id)]);
}

export function goAwayFrame(lastStreamId: number): Buffer {
  return control(GOAWAY, 0, [integers(lastStreamId, 0)]);
}

/** One frame, or several when `data` is long. The payload is not copied. */
export function dataFrames(streamId: number, data: Buffer, fin: boolean): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  do {
    const piece = data.subarray(at, at + MAX_DATA_BYTES);
    at += piece.length;
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(streamId, 0);
    head[4] = fin && at >= data.length ? FLAG_FIN : 0;
    head.writeUIntBE(piece.length, 5, 3);
    parts.push(head, piece);
  } while (at < data.length);
  return parts;
}
