import type { Duplex } from "node:stream";
import type { Clock, Timer } from "@coracle/base";
import { Allowance } from "./allowance.ts";
import { ControlFrames } from "./control-frames.ts";
import { ConnectionError, errorCode, protocolError } from "./error-code.ts";
import { FrameReader } from "./frame-reader.ts";
import {
  ACK,
  CONTINUATION,
  DATA,
  END_STREAM,
  GOAWAY,
  HEADERS,
  PADDED,
  PING,
  PREFACE,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "./frame-type.ts";
import { HeaderDecoder } from "./hpack/decoder.ts";
import { ClosedStreams } from "./closed-streams.ts";
import { HeaderBlocks, unpadded, type HeaderBlock } from "./header-blocks.ts";
import { MOST_UNREAD_BYTES, NOISE, RESETS, type Http2Limits } from "./limits.ts";
import { areTrailers, MessageHead, readRequestHead, readResponseHead } from "./message-head.ts";
import { Output, type FlushTurn } from "./output.ts";
import { Sender } from "./sender.ts";
import { applySettings, DEFAULT_WINDOW, defaultSettings, encodeSettings, LARGEST_WINDOW } from "./settings.ts";
import { Http2Stream, type HeaderValues, type StreamCarrier, type StreamListener } from "./stream.ts";

/** How long a connection that has said its last waits for the other end to go. */
const LINGER_MS = 1000;
/** How long the other side may take to hear that the connection ends. */
const FAREWELL_MS = 1000;
const FAREWELL_PING = Buffer.from("farewell", "latin1");
const NO_HEAD = new MessageHead([]);

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

/**
 * An HTTP/2 connection on a socket (RFC 9113): frames in, streams out. What the other side does wrong ends the stream or
 * the connection, and throws nothing.
 */
export class Http2Connection implements StreamCarrier {
  readonly #socket: Duplex;
  readonly #options: ConnectionOptions;
  readonly #isServer: boolean;
  readonly #output: Output;
  readonly #sender: Sender;
  readonly #decoder: HeaderDecoder;
  readonly #reader: FrameReader;
  readonly #control: ControlFrames;
  readonly #blocks: HeaderBlocks;
  readonly #peer = defaultSettings();
  readonly #streams = new Map<number, Http2Stream>();
  readonly #closed = new ClosedStreams();
  readonly #noise: Allowance;
  readonly #resets: Allowance;
  #preface = 0;
  #hasSettings = false;
  #start: Timer | undefined;
  #receiveWindow: number;
  #untoldBytes = 0;
  #framesBefore = 0;
  /** The last stream that was opened, by whichever side opens them. */
  #lastStreamId: number;
  #isLeaving = false;
  #hasLeft = false;
  #isOver = false;
  #isGone = false;
  #reason: Error | undefined;
  #farewell: Timer | undefined;
  #linger: Timer | undefined;
  readonly #pings: (() => void)[] = [];

  constructor(socket: Duplex, options: ConnectionOptions) {
    const { limits, clock } = options;
    this.#socket = socket;
    this.#options = options;
    this.#isServer = options.role === "server";
    this.#lastStreamId = this.#isServer ? 0 : -1;
    this.#output = new Output(socket, options.turn, () => this.#sender.pump());
    this.#sender = new Sender(this.#output, (stream) => this.#sentEnd(stream));
    this.#decoder = new HeaderDecoder({
      tableBytes: 4096,
      listBytes: limits.headerListBytes,
      listFields: limits.headerFields,
    });
    this.#reader = new FrameReader(this);
    this.#control = new ControlFrames(this.#output);
    this.#blocks = new HeaderBlocks(limits, clock, () =>
      this.#fail(new ConnectionError(errorCode.protocolError, "a header block does not end")),
    );
    this.#noise = new Allowance(...NOISE, clock);
    this.#resets = new Allowance(...RESETS, clock);
    this.#receiveWindow = limits.connectionWindowBytes;
    if (!this.#isServer) {
      this.#preface = PREFACE.length;
      const at = this.#output.reserve(PREFACE.length);
      PREFACE.copy(this.#output.bytes, at);
    }
    this.#control.settings(encodeSettings(limits, this.#isServer));
    if (limits.connectionWindowBytes > DEFAULT_WINDOW)
      this.#control.windowUpdate(0, limits.connectionWindowBytes - DEFAULT_WINDOW);
    this.#start = clock.after(limits.headerTimeoutMs, () =>
      this.#fail(new ConnectionError(errorCode.settingsTimeout, "the other side does not begin")),
    );
    this.#start.unref();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => {
      this.#reason ??= error;
      socket.destroy();
    });
    socket.once("end", () => this.#ended());
    socket.once("close", () => this.#gone());
    if (socket.destroyed) setImmediate(() => this.#gone());
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Whether it ends, or has ended: no requests any more. */
  get isClosing(): boolean {
    return this.#isLeaving || this.#isOver;
  }

  /** Streams that the other side lets us have open. */
  get maxStreams(): number {
    return this.#peer.maxStreams;
  }

  /** Ends in good order (RFC 9113, section 6.8): those under way end, and nothing is lost that is on its way. */
  leave(): void {
    if (this.#isLeaving || this.#isOver) return;
    this.#isLeaving = true;
    if (!this.#isServer) {
      this.#left();
      return;
    }
    this.#control.goaway(LARGEST_WINDOW, errorCode.noError);
    // What the other side sent before it heard of it has come when the ping is answered.
    this.#control.ping(FAREWELL_PING);
    this.#farewell = this.#options.clock.after(FAREWELL_MS, () => this.#left());
    this.#farewell.unref();
  }

  #left(): void {
    if (this.#hasLeft || this.#isOver) return;
    this.#hasLeft = true;
    this.#isLeaving = true;
    this.#farewell?.[Symbol.dispose]();
    this.#control.goaway(this.#isServer ? this.#lastStreamId : 0, errorCode.noError);
    if (this.#streams.size === 0) this.#finish();
  }

  /** Breaks the connection off. */
  destroy(reason?: Error): void {
    this.#reason ??= reason;
    this.#socket.destroy();
    this.#gone();
  }

  /** Asks whether the other side is there; `answered` is called when it says so. */
  ping(answered: () => void): void {
    if (this.#isOver) return;
    this.#pings.push(answered);
    this.#control.ping(Buffer.alloc(8, this.#pings.length & 0xff));
  }

  /** Clients: makes a request. Undefined: the connection takes no more. */
  request(
    pseudo: HeaderValues,
    headers: HeaderValues,
    isEnd: boolean,
    listener: StreamListener,
  ): Http2Stream | undefined {
    if (this.isClosing || this.#streams.size >= this.#peer.maxStreams || this.#lastStreamId >= LARGEST_WINDOW - 2)
      return undefined;
    this.#lastStreamId += 2;
    const stream = new Http2Stream(
      this.#lastStreamId,
      NO_HEAD,
      this,
      this.#peer.windowBytes,
      this.#options.limits.streamWindowBytes,
    );
    stream.listener = listener;
    stream.isHeadSent = true;
    this.#streams.set(stream.id, stream);
    this.#sender.encoder.begin();
    this.#sender.fields(pseudo);
    this.#sender.fields(headers);
    this.#sender.block(stream.id, isEnd);
    if (isEnd) stream.isEnding = stream.isSendEnded = true;
    return stream;
  }

  // StreamCarrier

  sendHead(stream: Http2Stream, status: number, headers: HeaderValues, isEnd: boolean): void {
    if (this.#isOver) return;
    const { encoder } = this.#sender;
    encoder.begin();
    encoder.field(":status", String(status));
    this.#sender.fields(headers);
    if (status >= 200 && headers["date"] === undefined && this.#options.dateOf !== undefined)
      encoder.field("date", this.#options.dateOf());
    this.#sender.block(stream.id, isEnd);
    if (!isEnd) return;
    stream.isEnding = true;
    stream.isSendEnded = true;
    this.#sentEnd(stream);
  }

  sendBody(stream: Http2Stream, chunk: Buffer): boolean {
    return this.#sender.write(stream, chunk);
  }

  sendLast(stream: Http2Stream, chunk: Buffer): void {
    this.#sender.writeLast(stream, chunk);
  }

  sendEnd(stream: Http2Stream, trailers: HeaderValues | undefined): void {
    this.#sender.end(stream, trailers);
  }

  reset(stream: Http2Stream, code: number): void {
    if (stream.isClosed) return;
    this.#sendReset(stream.id, code);
    this.#close(stream, code);
  }

  taken(stream: Http2Stream, bytes: number): void {
    this.#credit(bytes);
    if (stream.isReceiveEnded || stream.isClosed) return;
    stream.untoldBytes += bytes;
    if (stream.untoldBytes < this.#options.limits.streamWindowBytes / 2) return;
    this.#control.windowUpdate(stream.id, stream.untoldBytes);
    stream.receiveWindow += stream.untoldBytes;
    stream.untoldBytes = 0;
  }

  /** Bytes of the connection's window that are free again. */
  #credit(bytes: number): void {
    this.#untoldBytes += bytes;
    if (this.#untoldBytes < this.#options.limits.connectionWindowBytes / 2 || this.#isOver) return;
    this.#control.windowUpdate(0, this.#untoldBytes);
    this.#receiveWindow += this.#untoldBytes;
    this.#untoldBytes = 0;
  }

  /** What we have to send on a stream is sent. */
  #sentEnd(stream: Http2Stream): void {
    if (stream.isClosed) return;
    if (stream.isReceiveEnded) {
      this.#close(stream, errorCode.noError);
    } else if (this.#isServer) {
      // The answer is complete, whatever else would come (RFC 9113, section 8.1).
      this.#sendReset(stream.id, errorCode.noError);
      this.#close(stream, errorCode.noError);
    }
  }

  #close(stream: Http2Stream, code: number | undefined): void {
    stream.isClosed = true;
    this.#streams.delete(stream.id);
    const dropped = stream.dropReceived();
    if (dropped > 0) this.#credit(dropped);
    stream.waiting = [];
    stream.waitingBytes = 0;
    stream.tellClosed(code);
    if (this.#hasLeft && this.#streams.size === 0) this.#finish();
  }

  // Sending

  #sendReset(streamId: number, code: number): void {
    this.#closed.addReset(streamId);
    this.#control.reset(streamId, code);
  }

  /** Says no more; what was said goes out. */
  #finish(): void {
    if (this.#linger !== undefined) return;
    this.#output.end();
    this.#linger = this.#options.clock.after(LINGER_MS, () => this.#socket.destroy());
    this.#linger.unref();
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#reason ??= error;
    const code = error instanceof ConnectionError ? error.code : errorCode.internalError;
    this.#control.goaway(Math.max(this.#lastStreamId, 0), code, error.message.slice(0, 100));
    this.#finish();
    this.#over();
  }

  /** Nothing that comes from here on counts. */
  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#start?.[Symbol.dispose]();
    this.#farewell?.[Symbol.dispose]();
    this.#blocks.stop();
    this.#control.isSilent = true;
    for (const stream of this.#streams.values()) {
      stream.isClosed = true;
      stream.dropReceived();
      stream.waiting = [];
      stream.waitingBytes = 0;
    }
    const streams = [...this.#streams.values()];
    this.#streams.clear();
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
    this.#output.close();
    this.#linger?.[Symbol.dispose]();
    this.#options.onClose?.(this.#reason);
  }

  // Receiving

  #receive(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#reader.push(this.#preface < PREFACE.length ? this.#takePreface(chunk) : chunk);
      if (this.#output.waitingBytes > MOST_UNREAD_BYTES)
        throw new ConnectionError(errorCode.enhanceYourCalm, "nothing is read");
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #takePreface(chunk: Buffer): Buffer {
    const size = Math.min(PREFACE.length - this.#preface, chunk.length);
    if (chunk.compare(PREFACE, this.#preface, this.#preface + size, 0, size) !== 0)
      throw new ConnectionError(errorCode.protocolError, "this is not HTTP/2");
    this.#preface += size;
    return chunk.subarray(size);
  }

  /** For the reader. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (this.#isOver) return;
    const { openStreamId } = this.#blocks;
    if (openStreamId !== undefined && (type !== CONTINUATION || streamId !== openStreamId))
      protocolError("a header block is interrupted");
    if (!this.#hasSettings && (type !== SETTINGS || (flags & ACK) !== 0)) protocolError("settings must come first");
    switch (type) {
      case DATA:
        return this.#data(flags, streamId, payload);
      case HEADERS:
        return this.#headers(flags, streamId, payload);
      case PRIORITY:
        return this.#priority(streamId, payload);
      case RST_STREAM:
        return this.#rstStream(streamId, payload);
      case SETTINGS:
        return this.#settings(flags, streamId, payload);
      case PUSH_PROMISE:
        return protocolError("pushes are not taken");
      case PING:
        return this.#ping(flags, streamId, payload);
      case GOAWAY:
        return this.#takeGoaway(streamId, payload);
      case WINDOW_UPDATE:
        return this.#takeWindowUpdate(streamId, payload);
      case CONTINUATION:
        return this.#continuation(flags, payload);
      default:
        this.#bear(); // unknown types are ignored (section 5.5)
    }
  }

  /** A frame that does nothing. */
  #bear(): void {
    if (this.#noise.take()) return;
    // Pings that come with answers being read measure how fast they come.
    const isIdle = this.#sender.frames === this.#framesBefore;
    this.#framesBefore = this.#sender.frames;
    if (isIdle) throw new ConnectionError(errorCode.enhanceYourCalm, "too many frames without use");
    this.#noise.refill();
  }

  #isIdle(streamId: number): boolean {
    return streamId > this.#lastStreamId || (streamId & 1) === 0;
  }

  #streamError(streamId: number, code: number): void {
    if (!this.#resets.take()) throw new ConnectionError(errorCode.enhanceYourCalm, "too many streams go wrong");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#sendReset(streamId, code);
    else this.reset(stream, code);
  }

  #data(flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0) protocolError("data without a stream");
    const chunk = (flags & PADDED) === 0 ? payload : unpadded(payload, 0);
    if (this.#isIdle(streamId)) protocolError("data on a stream that is not open");
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw new ConnectionError(errorCode.flowControlError, "more than was asked for");
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.isReceiveEnded) {
      this.#credit(payload.length);
      if (stream === undefined && this.#closed.wasReset(streamId)) this.#bear();
      else this.#streamError(streamId, errorCode.streamClosed);
      return;
    }
    stream.receiveWindow -= payload.length;
    stream.bodyBytes += chunk.length;
    const isEnd = (flags & END_STREAM) !== 0;
    const announced = this.#isServer ? stream.head.contentLength : (stream.answer?.contentLength ?? -1);
    if (stream.receiveWindow < 0) {
      this.#credit(payload.length);
      this.#streamError(streamId, errorCode.flowControlError);
      return;
    }
    const isWrongLength =
      announced !== -1 && (stream.bodyBytes > announced || (isEnd && stream.bodyBytes !== announced));
    if (isWrongLength || (!this.#isServer && stream.answer === undefined)) {
      this.#credit(payload.length);
      this.#streamError(streamId, errorCode.protocolError);
      return;
    }
    if (isEnd) stream.isReceiveEnded = true;
    const padding = payload.length - chunk.length;
    if (padding > 0) this.taken(stream, padding);
    if (chunk.length > 0) stream.takeData(chunk);
    else if (!isEnd) this.#bear();
    if (isEnd && !stream.isClosed) this.#receivedEnd(stream, []);
  }

  #receivedEnd(stream: Http2Stream, trailers: Parameters<Http2Stream["takeEnd"]>[0]): void {
    stream.isReceiveEnded = true;
    stream.takeEnd(trailers);
  }

  /** Somebody has heard the end of what the other side sends. */
  heardEnd(stream: Http2Stream): void {
    if (stream.isClosed) return;
    if (stream.isSendEnded) {
      this.#close(stream, errorCode.noError);
    } else if (!this.#isServer) {
      // The answer is complete: the rest of the request is of no use to anybody.
      this.#sendReset(stream.id, errorCode.cancel);
      this.#close(stream, errorCode.noError);
    }
  }

  #headers(flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0 || (this.#isServer && (streamId & 1) === 0)) protocolError(`headers on stream ${streamId}`);
    if (!this.#isServer && !this.#streams.has(streamId) && this.#isIdle(streamId))
      protocolError("an answer without a request");
    const block = this.#blocks.begin(streamId, flags, payload);
    if (block !== undefined) this.#takeBlock(block);
  }

  #continuation(flags: number, payload: Buffer): void {
    const block = this.#blocks.goOn(flags, payload);
    if (block !== undefined) this.#takeBlock(block);
  }

  #takeBlock({ streamId, flags, bytes, dependsOnItself }: HeaderBlock): void {
    // Read in any case: the table is of the connection.
    const { fields, isTooLarge } = this.#decoder.decode(bytes);
    const isEnd = (flags & END_STREAM) !== 0;
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (!this.#isServer || streamId <= this.#lastStreamId) this.#headersOfClosed(streamId);
      else this.#open(streamId, fields, isTooLarge, isEnd, dependsOnItself);
      return;
    }
    if (stream.isReceiveEnded) return this.#streamError(streamId, errorCode.streamClosed);
    if (dependsOnItself || isTooLarge) return this.#streamError(streamId, errorCode.protocolError);
    if (!this.#isServer && stream.answer === undefined) return this.#takeAnswer(stream, fields, isEnd);
    const announced = this.#isServer ? stream.head.contentLength : (stream.answer?.contentLength ?? -1);
    const isWrongLength = announced !== -1 && stream.bodyBytes !== announced;
    if (!isEnd || !areTrailers(fields) || isWrongLength) return this.#streamError(streamId, errorCode.protocolError);
    this.#receivedEnd(stream, fields);
  }

  /** Headers on a stream that is over: trailers that crossed our reset, or a mistake (section 5.1). */
  #headersOfClosed(streamId: number): void {
    if (this.#closed.wasReset(streamId)) return this.#bear();
    if (this.#closed.wasSkipped(streamId)) protocolError(`stream ${streamId} comes too late`);
    throw new ConnectionError(errorCode.streamClosed, `stream ${streamId} is closed`);
  }

  #open(
    streamId: number,
    fields: MessageHead["fields"],
    isTooLarge: boolean,
    isEnd: boolean,
    dependsOnItself: boolean,
  ): void {
    this.#closed.skip(this.#lastStreamId, streamId);
    this.#lastStreamId = streamId;
    // Not to be answered: the other side was told that it will not be.
    if (this.#hasLeft) {
      this.#closed.addReset(streamId);
      return;
    }
    if (this.#streams.size >= this.#options.limits.maxStreams)
      return this.#streamError(streamId, errorCode.refusedStream);
    const head = dependsOnItself ? undefined : readRequestHead(fields);
    const isWrongLength = head !== undefined && isEnd && head.contentLength > 0;
    if (!isTooLarge && (head === undefined || isWrongLength))
      return this.#streamError(streamId, errorCode.protocolError);
    const { windowBytes } = this.#peer;
    const { limits, onStream } = this.#options;
    const stream = new Http2Stream(streamId, head ?? NO_HEAD, this, windowBytes, limits.streamWindowBytes);
    stream.isReceiveEnded = isEnd;
    this.#streams.set(streamId, stream);
    if (isTooLarge) {
      stream.respond(431, {}, true);
      return;
    }
    if (isEnd) stream.takeEnd([]);
    onStream?.(stream);
  }

  #takeAnswer(stream: Http2Stream, fields: MessageHead["fields"], isEnd: boolean): void {
    const head = readResponseHead(fields);
    if (head === undefined || (isEnd && head.status < 200))
      return this.#streamError(stream.id, errorCode.protocolError);
    if (head.status >= 200) stream.answer = head;
    stream.takeHead(head);
    if (isEnd && !stream.isClosed) this.#receivedEnd(stream, []);
  }

  #priority(streamId: number, payload: Buffer): void {
    if (streamId === 0) protocolError("a priority without a stream");
    this.#bear();
    if (payload.length !== 5) return this.#streamError(streamId, errorCode.frameSizeError);
    if ((payload.readUInt32BE(0) & 0x7fffffff) === streamId) this.#streamError(streamId, errorCode.protocolError);
  }

  #rstStream(streamId: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(errorCode.frameSizeError, "a reset is of four bytes");
    if (streamId === 0 || this.#isIdle(streamId)) protocolError("a reset of a stream that is not open");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return this.#bear();
    if (this.#isServer && !this.#resets.take())
      throw new ConnectionError(errorCode.enhanceYourCalm, "too many streams are broken off");
    this.#close(stream, payload.readUInt32BE(0));
  }

  #settings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("settings of a stream");
    if ((flags & ACK) !== 0) {
      if (payload.length > 0) throw new ConnectionError(errorCode.frameSizeError, "settings are acknowledged empty");
      return this.#bear();
    }
    this.#bear();
    const before = this.#peer.windowBytes;
    applySettings(this.#peer, payload, !this.#isServer);
    if (!this.#hasSettings) {
      this.#hasSettings = true;
      this.#start?.[Symbol.dispose]();
    }
    this.#sender.encoder.setTableLimit(this.#peer.headerTableBytes);
    this.#control.acknowledgeSettings();
    const change = this.#peer.windowBytes - before;
    if (change === 0) return;
    for (const stream of this.#streams.values()) this.#widen(stream, change);
    this.#sender.pump();
  }

  #widen(stream: Http2Stream, bytes: number): void {
    stream.sendWindow += bytes;
    if (stream.sendWindow > LARGEST_WINDOW)
      throw new ConnectionError(errorCode.flowControlError, "a window is too large");
    this.#sender.enqueue(stream);
  }

  #ping(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("a ping of a stream");
    if (payload.length !== 8) throw new ConnectionError(errorCode.frameSizeError, "a ping is of eight bytes");
    if ((flags & ACK) === 0) {
      this.#bear();
      this.#control.answerPing(payload);
    } else if (payload.equals(FAREWELL_PING)) {
      if (this.#isLeaving) this.#left();
    } else {
      this.#bear();
      this.#pings.shift()?.();
    }
  }

  #takeGoaway(streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("a farewell of a stream");
    if (payload.length < 8) throw new ConnectionError(errorCode.frameSizeError, "a farewell is cut off");
    this.#bear();
    if (this.#isServer) return;
    this.#isLeaving = true;
    const last = payload.readUInt32BE(0) & 0x7fffffff;
    for (const stream of this.#streams.values()) if (stream.id > last) this.#close(stream, errorCode.refusedStream);
    this.#options.onGoaway?.();
    if (this.#streams.size === 0) this.#left();
    else this.#hasLeft = true;
  }

  #takeWindowUpdate(streamId: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(errorCode.frameSizeError, "a window is of four bytes");
    const bytes = payload.readUInt32BE(0) & 0x7fffffff;
    if (streamId === 0) {
      if (bytes === 0) protocolError("a window of nothing");
      this.#sender.window += bytes;
      if (this.#sender.window > LARGEST_WINDOW)
        throw new ConnectionError(errorCode.flowControlError, "the connection's window is too large");
      this.#sender.pump();
      return;
    }
    if (this.#isIdle(streamId)) protocolError("a window of a stream that is not open");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return this.#bear();
    if (bytes === 0) return this.#streamError(streamId, errorCode.protocolError);
    if (stream.sendWindow + bytes > LARGEST_WINDOW) return this.#streamError(streamId, errorCode.flowControlError);
    this.#widen(stream, bytes);
    this.#sender.pump();
  }
}
