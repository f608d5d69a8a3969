import type { Clock, Timer } from "@coracle/base";
import { ConnectionError, errorCode, protocolError } from "./error-code.ts";
import { END_HEADERS, PADDED, WITH_PRIORITY } from "./frame-type.ts";
import { MOST_BLOCK_FRAMES, type Http2Limits } from "./limits.ts";

/** A payload without its padding (RFC 9113, section 6.1); `least`: bytes that must be left. */
export function unpadded(payload: Buffer, least: number): Buffer {
  const padding = payload[0];
  if (padding === undefined) throw new ConnectionError(errorCode.frameSizeError, "no length of the padding");
  if (1 + least + padding > payload.length) protocolError("more padding than there is");
  return payload.subarray(1, payload.length - padding);
}

/** A header block that is complete. */
export interface HeaderBlock {
  readonly streamId: number;
  /** Of its first frame. */
  readonly flags: number;
  readonly bytes: Buffer;
  /** A priority that is a mistake (RFC 7540, section 5.3.1). */
  readonly dependsOnItself: boolean;
}

/** Puts header blocks together from HEADERS and CONTINUATION (RFC 9113, sections 6.2 and 6.10). */
export class HeaderBlocks {
  readonly #limits: Http2Limits;
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  #open: Omit<HeaderBlock, "bytes"> | undefined;
  #parts: Buffer[] = [];
  #bytes = 0;
  #timer: Timer | undefined;

  /** `onTimeout`: a block has begun and does not end. */
  constructor(limits: Http2Limits, clock: Clock, onTimeout: () => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** The stream whose block is not complete: nothing else may come. */
  get openStreamId(): number | undefined {
    return this.#open?.streamId;
  }

  /** The payload of HEADERS; the block, when it is complete with it. */
  begin(streamId: number, flags: number, payload: Buffer): HeaderBlock | undefined {
    let bytes = (flags & PADDED) === 0 ? payload : unpadded(payload, (flags & WITH_PRIORITY) === 0 ? 0 : 5);
    let dependsOnItself = false;
    if ((flags & WITH_PRIORITY) !== 0) {
      if (bytes.length < 5) throw new ConnectionError(errorCode.frameSizeError, "a priority is cut off");
      dependsOnItself = (bytes.readUInt32BE(0) & 0x7fffffff) === streamId;
      bytes = bytes.subarray(5);
    }
    if ((flags & END_HEADERS) !== 0) return { streamId, flags, bytes, dependsOnItself };
    this.#open = { streamId, flags, dependsOnItself };
    this.#parts = [bytes];
    this.#bytes = bytes.length;
    this.#timer = this.#clock.after(this.#limits.headerTimeoutMs, this.#onTimeout);
    this.#timer.unref();
    return undefined;
  }

  /** The payload of CONTINUATION; the block, when it is complete with it. */
  goOn(flags: number, payload: Buffer): HeaderBlock | undefined {
    const open = this.#open;
    if (open === undefined) return protocolError("a continuation of nothing");
    this.#parts.push(payload);
    this.#bytes += payload.length;
    if (this.#bytes > this.#limits.headerListBytes || this.#parts.length > MOST_BLOCK_FRAMES)
      throw new ConnectionError(errorCode.enhanceYourCalm, "a header block is too long");
    if ((flags & END_HEADERS) === 0) return undefined;
    const bytes = Buffer.concat(this.#parts, this.#bytes);
    this.stop();
    return { ...open, bytes };
  }

  /** Forgets what has begun. */
  stop(): void {
    this.#open = undefined;
    this.#parts = [];
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
