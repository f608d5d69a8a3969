import type { Duplex } from "node:stream";
import type { Clock, Timer } from "@coracle/base";
import { ControlFrames } from "./control-frames.ts";
import { ConnectionError, errorCode } from "./error-code.ts";
import { PREFACE } from "./frame-type.ts";
import { ClosedStreams } from "./closed-streams.ts";
import type { Http2Limits } from "./limits.ts";
import { MessageHead } from "./message-head.ts";
import { Output, type FlushTurn } from "./output.ts";
import { Sender } from "./sender.ts";
import { DEFAULT_WINDOW, defaultSettings, encodeSettings, LARGEST_WINDOW } from "./settings.ts";
import { Http2Stream, type HeaderValues, type StreamCarrier, type StreamListener } from "./stream.ts";

/** How long a connection that has said its last waits for the other end to go. */
const LINGER_MS = 1000;
/** How long the other side may take to hear that the connection ends. */
const FAREWELL_MS = 1000;
export const FAREWELL_PING = Buffer.from("farewell", "latin1");
export const NO_HEAD = new MessageHead([]);

export interface ConnectionOptions {
  readonly role: "server" | "client";
  readonly limits: Http2Limits;
  readonly clock: Clock;
  readonly turn: FlushTurn;
  /** Servers: a request has come. Set its listener at once. */
  readonly onStream?: ((stream: Http2Stream) => void) | undefined;
  /** Fields of every answer that does not have them. */
  readonly dateOf?: (() => string) | undefined;
  /** The connection has ended, or broken off for this reason. */
  readonly onClose?: ((reason: Error | undefined) => void) | undefined;
  /** Clients: the other side takes no new requests. */
  readonly onGoaway?: (() => void) | undefined;
}

/** A connection's life, and all that it says; what it hears is the business of Http2Connection. */
export abstract class ConnectionLife implements StreamCarrier {
  readonly #socket: Duplex;
  protected readonly options: ConnectionOptions;
  protected readonly isServer: boolean;
  protected readonly output: Output;
  protected readonly sender: Sender;
  protected readonly control: ControlFrames;
  protected readonly peer = defaultSettings();
  protected readonly streams = new Map<number, Http2Stream>();
  protected readonly closed = new ClosedStreams();
  #start: Timer | undefined;
  protected receiveWindow: number;
  #untoldBytes = 0;
  /** The last stream that was opened, by whichever side opens them. */
  protected lastStreamId: number;
  protected isLeaving = false;
  protected hasLeft = false;
  protected isOver = false;
  #isGone = false;
  #isFinishing = false;
  #reason: Error | undefined;
  #farewell: Timer | undefined;
  #linger: Timer | undefined;
  protected readonly pings: (() => void)[] = [];

  constructor(socket: Duplex, options: ConnectionOptions) {
    const { limits, clock } = options;
    this.#socket = socket;
    this.options = options;
    this.isServer = options.role === "server";
    this.lastStreamId = this.isServer ? 0 : -1;
    this.output = new Output(socket, options.turn, () => this.sender.pump());
    this.sender = new Sender(this.output, (stream) => this.#sentEnd(stream));
    this.control = new ControlFrames(this.output);
    this.receiveWindow = limits.connectionWindowBytes;
    if (!this.isServer) {
      const at = this.output.reserve(PREFACE.length);
      PREFACE.copy(this.output.bytes, at);
    }
    this.control.settings(encodeSettings(limits, this.isServer));
    if (limits.connectionWindowBytes > DEFAULT_WINDOW)
      this.control.windowUpdate(0, limits.connectionWindowBytes - DEFAULT_WINDOW);
    this.#start = clock.after(limits.headerTimeoutMs, () =>
      this.fail(new ConnectionError(errorCode.settingsTimeout, "the other side does not begin")),
    );
    this.#start.unref();
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("error", (error) => {
      this.#reason ??= error;
      socket.destroy();
    });
    socket.once("end", () => this.#ended());
    socket.once("close", () => this.#gone());
    if (socket.destroyed) setImmediate(() => this.#gone());
  }

  /** Takes what the socket has read. */
  protected abstract receive(chunk: Buffer): void;

  /** Nothing more counts: what waits for more is forgotten. */
  protected abstract stopped(): void;

  /** The other side has begun. */
  protected begun(): void {
    this.#start?.[Symbol.dispose]();
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.streams.size;
  }

  /** Whether it ends, or has ended: no requests any more. */
  get isClosing(): boolean {
    return this.isLeaving || this.isOver;
  }

  /** Why it broke off. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Streams that the other side lets us have open. */
  get maxStreams(): number {
    return this.peer.maxStreams;
  }

  /** Ends in good order (RFC 9113, section 6.8): those under way end, and nothing is lost that is on its way. */
  leave(): void {
    if (this.isLeaving || this.isOver) return;
    this.isLeaving = true;
    if (!this.isServer) {
      this.left();
      return;
    }
    this.control.goaway(LARGEST_WINDOW, errorCode.noError);
    // What the other side sent before it heard of it has come when the ping is answered.
    this.control.ping(FAREWELL_PING);
    this.#farewell = this.options.clock.after(FAREWELL_MS, () => this.left());
    this.#farewell.unref();
  }

  protected left(): void {
    if (this.hasLeft || this.isOver) return;
    this.hasLeft = true;
    this.isLeaving = true;
    this.#farewell?.[Symbol.dispose]();
    this.control.goaway(this.isServer ? this.lastStreamId : 0, errorCode.noError);
    if (this.streams.size === 0) this.#finish();
  }

  /** Breaks the connection off. */
  destroy(reason?: Error): void {
    this.#reason ??= reason;
    this.#socket.destroy();
    this.#gone();
  }

  /** Asks whether the other side is there; `answered` is called when it says so. */
  ping(answered: () => void): void {
    if (this.isOver) return;
    this.pings.push(answered);
    this.control.ping(Buffer.alloc(8, this.pings.length & 0xff));
  }

  /** Clients: makes a request. Undefined: the connection takes no more. */
  request(
    pseudo: HeaderValues,
    headers: HeaderValues,
    isEnd: boolean,
    listener: StreamListener,
  ): Http2Stream | undefined {
    if (this.isClosing || this.streams.size >= this.peer.maxStreams || this.lastStreamId >= LARGEST_WINDOW - 2)
      return undefined;
    this.lastStreamId += 2;
    const stream = new Http2Stream(
      this.lastStreamId,
      NO_HEAD,
      this,
      this.peer.windowBytes,
      this.options.limits.streamWindowBytes,
    );
    stream.listener = listener;
    stream.isHeadSent = true;
    this.streams.set(stream.id, stream);
    this.sender.encoder.begin();
    this.sender.fields(pseudo);
    this.sender.fields(headers);
    this.sender.block(stream.id, isEnd);
    if (isEnd) stream.isEnding = stream.isSendEnded = true;
    return stream;
  }

  // StreamCarrier

  sendHead(stream: Http2Stream, status: number, headers: HeaderValues, isEnd: boolean): void {
    if (this.isOver) return;
    const { encoder } = this.sender;
    encoder.begin();
    encoder.field(":status", String(status));
    this.sender.fields(headers);
    if (status >= 200 && headers["date"] === undefined && this.options.dateOf !== undefined)
      encoder.field("date", this.options.dateOf());
    this.sender.block(stream.id, isEnd);
    if (!isEnd) return;
    stream.isEnding = true;
    stream.isSendEnded = true;
    this.#sentEnd(stream);
  }

  sendBody(stream: Http2Stream, chunk: Buffer, isShared: boolean): boolean {
    return this.sender.write(stream, chunk, isShared);
  }

  sendLast(stream: Http2Stream, chunk: Buffer): void {
    this.sender.writeLast(stream, chunk);
  }

  sendEnd(stream: Http2Stream, trailers: HeaderValues | undefined): void {
    this.sender.end(stream, trailers);
  }

  reset(stream: Http2Stream, code: number): void {
    if (stream.isClosed) return;
    this.sendReset(stream.id, code);
    this.close(stream, code);
  }

  taken(stream: Http2Stream, bytes: number): void {
    this.credit(bytes);
    if (stream.isReceiveEnded || stream.isClosed) return;
    stream.untoldBytes += bytes;
    if (stream.untoldBytes < this.options.limits.streamWindowBytes / 2) return;
    this.control.windowUpdate(stream.id, stream.untoldBytes);
    stream.receiveWindow += stream.untoldBytes;
    stream.untoldBytes = 0;
  }

  /** Bytes of the connection's window that are free again. */
  protected credit(bytes: number): void {
    this.#untoldBytes += bytes;
    if (this.#untoldBytes < this.options.limits.connectionWindowBytes / 2 || this.isOver) return;
    this.control.windowUpdate(0, this.#untoldBytes);
    this.receiveWindow += this.#untoldBytes;
    this.#untoldBytes = 0;
  }

  /** What we have to send on a stream is sent. */
  #sentEnd(stream: Http2Stream): void {
    if (stream.isClosed) return;
    if (stream.isReceiveEnded) {
      this.close(stream, errorCode.noError);
    } else if (this.isServer) {
      // The answer is complete, whatever else would come (RFC 9113, section 8.1).
      this.sendReset(stream.id, errorCode.noError);
      this.close(stream, errorCode.noError);
    }
  }

  /** Somebody has heard the end of what the other side sends. */
  heardEnd(stream: Http2Stream): void {
    if (stream.isClosed) return;
    if (stream.isSendEnded) {
      this.close(stream, errorCode.noError);
    } else if (!this.isServer) {
      // The answer is complete: the rest of the request is of no use to anybody.
      this.sendReset(stream.id, errorCode.cancel);
      this.close(stream, errorCode.noError);
    }
  }

  protected close(stream: Http2Stream, code: number | undefined): void {
    stream.isClosed = true;
    this.streams.delete(stream.id);
    const dropped = stream.dropReceived();
    if (dropped > 0) this.credit(dropped);
    stream.waiting = [];
    stream.waitingBytes = 0;
    stream.tellClosed(code);
    if (this.hasLeft && this.streams.size === 0) this.#finish();
  }

  // Sending

  protected sendReset(streamId: number, code: number): void {
    this.closed.addReset(streamId);
    this.control.reset(streamId, code);
  }

  /** Says no more; what was said goes out, and the other end gets some time to go by itself. */
  #finish(): void {
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    const socket = this.#socket;
    socket.once("finish", () => {
      if (this.#isGone) return;
      this.#linger = this.options.clock.after(LINGER_MS, () => socket.destroy());
      this.#linger.unref();
    });
    this.output.end();
  }

  protected fail(error: Error): void {
    if (this.isOver) return;
    this.#reason ??= error;
    const code = error instanceof ConnectionError ? error.code : errorCode.internalError;
    this.control.goaway(Math.max(this.lastStreamId, 0), code, error.message.slice(0, 100));
    this.#finish();
    this.#over();
  }

  /** Nothing that comes from here on counts. */
  #over(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#start?.[Symbol.dispose]();
    this.#farewell?.[Symbol.dispose]();
    this.stopped();
    this.control.isSilent = true;
    for (const stream of this.streams.values()) {
      stream.isClosed = true;
      stream.dropReceived();
      stream.waiting = [];
      stream.waitingBytes = 0;
    }
    const streams = [...this.streams.values()];
    this.streams.clear();
    for (const stream of streams) stream.tellClosed(undefined);
  }

  /** The other side says no more: it is gone. */
  #ended(): void {
    this.#over();
    this.#finish();
  }

  #gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#over();
    this.output.close();
    this.#linger?.[Symbol.dispose]();
    this.options.onClose?.(this.#reason);
  }
}
