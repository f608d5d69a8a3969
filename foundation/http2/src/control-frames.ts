import {
  FRAME_HEAD_BYTES,
  GOAWAY,
  PING,
  RST_STREAM,
  SETTINGS,
  ACK,
  WINDOW_UPDATE,
  writeFrameHead,
} from "./frame-type.ts";
import type { Output } from "./output.ts";

const EMPTY = Buffer.alloc(0);

/** Writes the frames that are about the connection itself. */
export class ControlFrames {
  readonly #output: Output;
  /** Nothing more is said. */
  isSilent = false;

  constructor(output: Output) {
    this.#output = output;
  }

  settings(payload: Buffer): void {
    this.#frame(SETTINGS, 0, 0, payload);
  }

  acknowledgeSettings(): void {
    this.#frame(SETTINGS, ACK, 0, EMPTY);
  }

  ping(payload: Buffer): void {
    this.#frame(PING, 0, 0, payload);
  }

  answerPing(payload: Buffer): void {
    this.#frame(PING, ACK, 0, payload);
  }

  /** The other side may send so many bytes more; `streamId` 0: on all streams together. */
  windowUpdate(streamId: number, bytes: number): void {
    this.#number(WINDOW_UPDATE, streamId, bytes);
  }

  reset(streamId: number, code: number): void {
    this.#number(RST_STREAM, streamId, code);
  }

  goaway(lastStreamId: number, code: number, text = ""): void {
    const payload = Buffer.alloc(8 + text.length);
    payload.writeUInt32BE(lastStreamId, 0);
    payload.writeUInt32BE(code, 4);
    payload.write(text, 8, "latin1");
    this.#frame(GOAWAY, 0, 0, payload);
  }

  #frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (this.isSilent) return;
    const output = this.#output;
    const at = output.reserve(FRAME_HEAD_BYTES + payload.length);
    writeFrameHead(output.bytes, at, payload.length, type, flags, streamId);
    payload.copy(output.bytes, at + FRAME_HEAD_BYTES);
  }

  #number(type: number, streamId: number, value: number): void {
    if (this.isSilent) return;
    const output = this.#output;
    const at = output.reserve(FRAME_HEAD_BYTES + 4);
    writeFrameHead(output.bytes, at, 4, type, 0, streamId);
    output.bytes.writeUInt32BE(value, at + FRAME_HEAD_BYTES);
  }
}
