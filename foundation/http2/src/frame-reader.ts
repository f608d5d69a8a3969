import { ConnectionError, errorCode } from "./error-code.ts";
import { FRAME_BYTES, FRAME_HEAD_BYTES } from "./frame-type.ts";

/** Takes frames. `payload` is only lent: it is part of what the socket read. */
export interface FrameSink {
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
}

/** Cuts what a socket reads into frames (RFC 9113, section 4). Keeps no more than one frame that is not complete. */
export class FrameReader {
  readonly #sink: FrameSink;
  #parts: Buffer[] = [];
  #size = 0;
  /** Bytes that must be there before anything can be done. */
  #needed = FRAME_HEAD_BYTES;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Throws ConnectionError when a frame is longer than allowed. */
  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#size > 0) {
      this.#parts.push(chunk);
      this.#size += chunk.length;
      if (this.#size < this.#needed) return;
      bytes = Buffer.concat(this.#parts, this.#size);
      this.#parts = [];
      this.#size = 0;
    }
    let at = 0;
    const end = bytes.length;
    while (end - at >= FRAME_HEAD_BYTES) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      // A frame that is too long cannot be skipped: it may carry part of the compression's state.
      if (length > FRAME_BYTES) throw new ConnectionError(errorCode.frameSizeError, `frame of ${length} bytes`);
      const next = at + FRAME_HEAD_BYTES + length;
      if (next > end) {
        this.#keep(bytes, at, FRAME_HEAD_BYTES + length);
        return;
      }
      const streamId =
        ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
      this.#sink.frame(bytes[at + 3]!, bytes[at + 4]!, streamId, bytes.subarray(at + FRAME_HEAD_BYTES, next));
      at = next;
    }
    if (at < end) this.#keep(bytes, at, FRAME_HEAD_BYTES);
  }

  #keep(bytes: Buffer, at: number, needed: number): void {
    this.#parts = [bytes.subarray(at)];
    this.#size = bytes.length - at;
    this.#needed = needed;
  }
}
