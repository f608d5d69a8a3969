import { HeaderEncoder } from "./hpack/encoder.ts";
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  HEADERS,
  writeFrameHead,
} from "./frame-type.ts";
import type { Output } from "./output.ts";
import { DEFAULT_WINDOW } from "./settings.ts";
import { STREAM_HIGH_WATER_BYTES, type Http2Stream, type HeaderValues } from "./stream.ts";

/** Bodies go to the socket as long as it has no more than this to do. */
const SOCKET_HIGH_WATER_BYTES = 256 * 1024;
/** Bodies that stay as they are wait by reference in any case: there may be more of them. */
const SHARED_HIGH_WATER_BYTES = 1024 * 1024;

/** Told when a stream has sent its end. */
type OnSent = (stream: Http2Stream) => void;

/** The sending half of a connection: heads, and bodies as far as windows and socket allow, streams taking turns. */
export class Sender {
  readonly #output: Output;
  readonly #onSent: OnSent;
  readonly encoder: HeaderEncoder = new HeaderEncoder();
  /** What the connection may send (RFC 9113, section 6.9). */
  window = DEFAULT_WINDOW;
  /** Frames of bodies that were sent. */
  frames = 0;
  /** Streams that have something to send and a window to send it in. */
  #queue: Http2Stream[] = [];
  #next = 0;
  #isPumping = false;

  constructor(output: Output, onSent: OnSent) {
    this.#output = output;
    this.#onSent = onSent;
  }

  /** A header block; its frames follow one another (RFC 9113, section 4.3). The fields are in the encoder. */
  block(streamId: number, isEnd: boolean): void {
    const output = this.#output;
    const { block, length } = this.encoder;
    let from = 0;
    do {
      const size = Math.min(length - from, FRAME_BYTES);
      const isFirst = from === 0;
      const isLast = from + size === length;
      const at = output.reserve(FRAME_HEAD_BYTES + size);
      const flags = (isFirst && isEnd ? END_STREAM : 0) | (isLast ? END_HEADERS : 0);
      writeFrameHead(output.bytes, at, size, isFirst ? HEADERS : CONTINUATION, flags, streamId);
      block.copy(output.bytes, at + FRAME_HEAD_BYTES, from, from + size);
      from += size;
    } while (from < length);
  }

  /** Puts fields into the encoder. */
  fields(headers: HeaderValues): void {
    const { encoder } = this;
    for (const name in headers) {
      const value = headers[name];
      if (typeof value === "string") encoder.field(name, value);
      else if (typeof value === "number") encoder.field(name, String(value));
      else if (value !== undefined) for (const one of value) encoder.field(name, String(one));
    }
  }

  /** A piece of a body; false: it is enough for now. `isShared`: it stays as it is. */
  write(stream: Http2Stream, chunk: Buffer, isShared: boolean): boolean {
    const { length } = chunk;
    if (
      stream.waitingBytes === 0 &&
      length <= FRAME_BYTES &&
      length <= stream.sendWindow &&
      length <= this.window &&
      this.#next === this.#queue.length &&
      this.#output.waitingBytes < (isShared ? SHARED_HIGH_WATER_BYTES : SOCKET_HIGH_WATER_BYTES)
    ) {
      stream.sendWindow -= length;
      this.window -= length;
      this.frames += 1;
      if (isShared) {
        this.#output.body(stream.id, chunk);
        return true;
      }
      const at = this.#output.reserve(FRAME_HEAD_BYTES + length);
      const { bytes } = this.#output;
      writeFrameHead(bytes, at, length, DATA, 0, stream.id);
      bytes.set(chunk, at + FRAME_HEAD_BYTES);
      return true;
    }
    stream.waiting.push(chunk);
    stream.waitingBytes += length;
    this.enqueue(stream);
    this.pump();
    stream.isBlocked = stream.waitingBytes >= STREAM_HIGH_WATER_BYTES;
    return !stream.isBlocked;
  }

  /** A whole body with its end. */
  writeLast(stream: Http2Stream, chunk: Buffer): void {
    stream.waiting.push(chunk);
    stream.waitingBytes += chunk.length;
    stream.isEnding = true;
    this.enqueue(stream);
    this.pump();
  }

  /** The end, after what waits. */
  end(stream: Http2Stream, trailers: HeaderValues | undefined): void {
    stream.endTrailers = trailers;
    stream.isEnding = true;
    if (stream.waitingBytes === 0) this.#sendEnd(stream);
  }

  /** The stream has, or may have, something to send. */
  enqueue(stream: Http2Stream): void {
    if (stream.isQueued || stream.sendWindow <= 0 || stream.waitingBytes === 0) return;
    stream.isQueued = true;
    this.#queue.push(stream);
  }

  /** Sends what can be sent. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#next < this.#queue.length && this.window > 0 && this.#output.waitingBytes < SOCKET_HIGH_WATER_BYTES) {
      const stream = this.#queue[this.#next++]!;
      stream.isQueued = false;
      if (stream.isClosed || stream.sendWindow <= 0 || stream.waitingBytes === 0) continue;
      this.#sendFrame(stream);
      if (stream.waitingBytes > 0) this.enqueue(stream);
      else if (stream.isBlocked) stream.tellDrained();
    }
    if (this.#next === this.#queue.length) {
      if (this.#next > 0) this.#queue = [];
      this.#next = 0;
    } else if (this.#next > 1024) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    this.#isPumping = false;
  }

  /** One frame of what waits; small pieces share it. */
  #sendFrame(stream: Http2Stream): void {
    const size = Math.min(stream.waitingBytes, stream.sendWindow, this.window, FRAME_BYTES);
    const at = this.#output.reserve(FRAME_HEAD_BYTES + size, stream.waitingBytes > 2 * FRAME_BYTES);
    const { bytes } = this.#output;
    const isEnd = stream.isEnding && stream.endTrailers === undefined && size === stream.waitingBytes;
    writeFrameHead(bytes, at, size, DATA, isEnd ? END_STREAM : 0, stream.id);
    let to = at + FRAME_HEAD_BYTES;
    let left = size;
    const { waiting } = stream;
    let done = 0;
    while (left > 0) {
      const chunk = waiting[done]!;
      const from = stream.waitingFrom;
      const part = Math.min(chunk.length - from, left);
      chunk.copy(bytes, to, from, from + part);
      to += part;
      left -= part;
      if (from + part === chunk.length) {
        done += 1;
        stream.waitingFrom = 0;
      } else {
        stream.waitingFrom = from + part;
      }
    }
    if (done === waiting.length) stream.waiting = [];
    else if (done > 0) stream.waiting = waiting.slice(done);
    stream.waitingBytes -= size;
    stream.sendWindow -= size;
    this.window -= size;
    this.frames += 1;
    if (isEnd) {
      stream.isSendEnded = true;
      this.#onSent(stream);
    } else if (stream.isEnding && stream.waitingBytes === 0) {
      this.#sendEnd(stream);
    }
  }

  #sendEnd(stream: Http2Stream): void {
    const trailers = stream.endTrailers;
    if (trailers === undefined) {
      const at = this.#output.reserve(FRAME_HEAD_BYTES);
      writeFrameHead(this.#output.bytes, at, 0, DATA, END_STREAM, stream.id);
    } else {
      this.encoder.begin();
      this.fields(trailers);
      this.block(stream.id, true);
    }
    stream.isSendEnded = true;
    this.#onSent(stream);
  }
}
