import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { NodeStreamBody } from "./node-stream-body.ts";

const HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10] as const;
const MAX_BUFFERED_FOR_PONG = 64 * 1024;
const NORMAL_CLOSURE = Buffer.from([0x03, 0xe8]);

/** How a body's bytes travel as messages: as they are, as text of base64, or one line a message. */
type Form = "binary" | "base64" | "lines";

/** Sub-protocols that a body can be sent by. */
const PROTOCOLS: Readonly<Record<string, Form>> = { "binary.k8s.io": "binary", "base64.binary.k8s.io": "base64" };

export interface WebSocketRequest {
  readonly socket: Duplex;
  /** `Sec-WebSocket-Key`. */
  readonly key: string;
  /** `Sec-WebSocket-Protocol`, as sent. */
  readonly protocols: string;
}

/**
 * An answer's body as WebSocket messages, for clients that follow a log or a watch that way. What the client sends is
 * of no interest, save that it leaves.
 */
export class WebSocketBody extends NodeStreamBody {
  readonly #socket: Duplex;
  readonly #form: Form;
  #input: Buffer = Buffer.alloc(0);

  /** Accepts the upgrade. JSON goes line by line: one event a message. */
  constructor({ socket, key, protocols }: WebSocketRequest, contentType: string) {
    super(socket);
    this.#socket = socket;
    const protocol = protocols.split(/\s*,\s*/).find((name) => Object.hasOwn(PROTOCOLS, name));
    const plainForm = contentType.startsWith("application/json") ? "lines" : "binary";
    this.#form = protocol === undefined ? plainForm : (PROTOCOLS[protocol] ?? plainForm);
    const accept = createHash("sha1").update(`${key}${HANDSHAKE_GUID}`).digest("base64");
    const chosen = protocol === undefined ? "" : `sec-websocket-protocol: ${protocol}\r\n`;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n${chosen}\r\n`,
    );
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => socket.end());
    socket.on("error", () => {}); // "close" follows
  }

  override write(chunk: Buffer): boolean {
    if (this.#form === "binary") return super.write(frame(BINARY, chunk));
    if (this.#form === "base64") return super.write(frame(TEXT, Buffer.from(chunk.toString("base64"))));
    const frames: Buffer[] = [];
    for (let from = 0; from < chunk.length;) {
      const end = chunk.indexOf(0x0a, from);
      const to = end === -1 ? chunk.length : end + 1;
      frames.push(frame(TEXT, chunk.subarray(from, to)));
      from = to;
    }
    return super.write(Buffer.concat(frames));
  }

  override end(): void {
    if (this.isClosed) return;
    super.write(frame(CLOSE, NORMAL_CLOSURE));
    super.end();
  }

  #receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    for (;;) {
      const next = readFrame(this.#input);
      if (next === undefined) return;
      this.#input = this.#input.subarray(next.size);
      // Who asks without end and never reads gets no answers.
      const mayAnswer = this.bufferedBytes < MAX_BUFFERED_FOR_PONG;
      if (next.opcode === PING && mayAnswer) super.write(frame(PONG, next.payload));
      if (next.opcode === CLOSE) this.end();
      if (next.isTooLarge) this.#socket.destroy();
    }
  }
}

function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** The first whole frame of what a client sent; one longer than 64 KiB is nothing that a reader would send. */
function readFrame(input: Buffer): { opcode: number; payload: Buffer; size: number; isTooLarge: boolean } | undefined {
  if (input.length < 2) return undefined;
  const opcode = input[0]! & 0x0f;
  const isMasked = (input[1]! & 0x80) !== 0;
  let length = input[1]! & 0x7f;
  let at = 2;
  if (length === 127) return { opcode, payload: Buffer.alloc(0), size: input.length, isTooLarge: true };
  if (length === 126) {
    if (input.length < 4) return undefined;
    length = input.readUInt16BE(2);
    at = 4;
  }
  const mask = isMasked ? input.subarray(at, at + 4) : Buffer.alloc(4);
  if (isMasked) at += 4;
  if (input.length < at + length) return undefined;
  const payload = Buffer.from(input.subarray(at, at + length));
  for (let i = 0; i < payload.length; i++) payload[i]! ^= mask[i % 4]!;
  return { opcode, payload, size: at + length, isTooLarge: false };
}
