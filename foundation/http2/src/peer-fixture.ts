import { Duplex } from "node:stream";
import { createFakeClock, type FakeClock } from "@coracle/base";
import type { Http2Connection } from "./connection.ts";
import { HeaderDecoder } from "./hpack/decoder.ts";
import { HeaderEncoder } from "./hpack/encoder.ts";
import { PREFACE, writeFrameHead } from "./frame-type.ts";
import type { Http2Limits } from "./limits.ts";
import { createHttp2Server } from "./server.ts";
import type { Http2Stream } from "./stream.ts";

/** A socket whose other end is the test. */
export class TestSocket extends Duplex {
  /** What was written to it, a buffer for each write. */
  readonly writes: Buffer[] = [];
  /** Writes are not confirmed while it is set: the other end does not read. */
  isStuck = false;
  readonly #stuck: (() => void)[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push(Buffer.from(chunk));
    if (this.isStuck) this.#stuck.push(done);
    else done();
  }

  /** The other end reads on. */
  release(): void {
    this.isStuck = false;
    for (const done of this.#stuck.splice(0)) done();
  }
}

/** A frame as the other end gets it. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, streamId: number, payload: Buffer | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload.replaceAll(" ", ""), "hex") : payload;
  const bytes = Buffer.alloc(9 + body.length);
  writeFrameHead(bytes, 0, body.length, type, flags, streamId);
  body.copy(bytes, 9);
  return bytes;
}

export const number32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export function setting(identifier: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(identifier);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

export const SETTINGS_FRAME: Buffer = frame(4, 0, 0);
export const GET = { ":method": "GET", ":scheme": "https", ":path": "/", ":authority": "a" };
export const POST = { ...GET, ":method": "POST" };

/** A server's connection whose client writes frames by hand. */
export class RawClient {
  readonly socket = new TestSocket();
  readonly clock: FakeClock = createFakeClock();
  readonly streams: Http2Stream[] = [];
  readonly connection: Http2Connection;
  closeReason: Error | undefined;
  readonly encoder = new HeaderEncoder();
  readonly #decoder = new HeaderDecoder({ tableBytes: 4096, listBytes: 1 << 20, listFields: 1000 });

  constructor(onStream?: (stream: Http2Stream) => void, limits: Partial<Http2Limits> = {}) {
    const server = createHttp2Server({
      clock: this.clock,
      limits,
      onStream: (stream) => {
        this.streams.push(stream);
        if (onStream === undefined) stream.listener = { data() {}, ended() {}, closed() {} };
        else onStream(stream);
      },
    });
    this.connection = server.accept(this.socket, (reason) => (this.closeReason = reason));
  }

  /** Sends the preface, settings, and what is given. */
  begin(...frames: Buffer[]): this {
    return this.send(PREFACE, SETTINGS_FRAME, ...frames);
  }

  send(...frames: Buffer[]): this {
    this.socket.push(Buffer.concat(frames));
    return this;
  }

  /** A header block. */
  block(fields: Readonly<Record<string, string>>): Buffer {
    this.encoder.begin();
    for (const [name, value] of Object.entries(fields)) this.encoder.field(name, value);
    return Buffer.from(this.encoder.block.subarray(0, this.encoder.length));
  }

  headers(streamId: number, fields: Readonly<Record<string, string>>, flags = 0x5): Buffer {
    return frame(1, flags, streamId, this.block(fields));
  }

  /** What the server has sent so far, after it had its turn. */
  async seen(): Promise<SeenFrame[]> {
    for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
    const bytes = Buffer.concat(this.socket.writes);
    const frames: SeenFrame[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = bytes.readUIntBE(at, 3);
      const payload = bytes.subarray(at + 9, at + 9 + length);
      const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, streamId, payload });
      at += 9 + length;
    }
    return frames;
  }

  /** The frames in short: `RST 1 STREAM_CLOSED`. Settings, and windows of the connection, are left out. */
  async said(): Promise<string[]> {
    const frames = await this.seen();
    return frames.flatMap(({ type, flags, streamId, payload }) => {
      const end = (flags & 1) === 1 ? " end" : "";
      switch (type) {
        case 0:
          return [`DATA ${streamId} ${payload.length}${end}`];
        case 1:
          return [`HEADERS ${streamId}${end}`];
        case 3:
          return [`RST ${streamId} ${payload.readUInt32BE(0)}`];
        case 6:
          return [`PING${(flags & 1) === 1 ? " ack" : ""}`];
        case 7:
          return [`GOAWAY ${payload.readUInt32BE(4)}`];
        case 8:
          return streamId === 0 ? [] : [`WINDOW ${streamId} ${payload.readUInt32BE(0)}`];
        default:
          return [];
      }
    });
  }

  /** The fields of a header block that was seen. */
  fields(payload: Buffer): Record<string, string> {
    return Object.fromEntries(this.#decoder.decode(payload).fields.map(({ name, value }) => [name, value]));
  }
}
