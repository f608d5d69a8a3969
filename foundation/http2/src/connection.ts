import type { Duplex } from "node:stream";
import { Allowance } from "./allowance.ts";
import { ConnectionError, errorCode, protocolError } from "./error-code.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
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
import { HeaderBlocks, unpadded, type HeaderBlock } from "./header-blocks.ts";
import { MOST_UNREAD_BYTES, NOISE, RESETS } from "./limits.ts";
import { areTrailers, type MessageHead, readRequestHead, readResponseHead } from "./message-head.ts";
import { applySettings, LARGEST_WINDOW } from "./settings.ts";
import { Http2Stream } from "./stream.ts";
import { ConnectionLife, FAREWELL_PING, NO_HEAD, type ConnectionOptions } from "./connection-life.ts";

/**
 * An HTTP/2 connection on a socket (RFC 9113): frames in, streams out. What the other side does wrong ends the stream or
 * the connection, and throws nothing.
 */
export class Http2Connection extends ConnectionLife implements FrameSink {
  readonly #decoder: HeaderDecoder;
  readonly #reader: FrameReader = new FrameReader(this);
  readonly #blocks: HeaderBlocks;
  readonly #noise: Allowance;
  readonly #resets: Allowance;
  #preface: number;
  #hasSettings = false;
  #framesBefore = 0;

  constructor(socket: Duplex, options: ConnectionOptions) {
    super(socket, options);
    const { limits, clock } = options;
    this.#preface = this.isServer ? 0 : PREFACE.length;
    this.#decoder = new HeaderDecoder({
      tableBytes: 4096,
      listBytes: limits.headerListBytes,
      listFields: limits.headerFields,
    });
    this.#blocks = new HeaderBlocks(limits, clock, () =>
      this.fail(new ConnectionError(errorCode.protocolError, "a header block does not end")),
    );
    this.#noise = new Allowance(...NOISE, clock);
    this.#resets = new Allowance(...RESETS, clock);
  }

  protected override stopped(): void {
    this.#blocks.stop();
  }

  protected override receive(chunk: Buffer): void {
    if (this.isOver) return;
    try {
      this.#reader.push(this.#preface < PREFACE.length ? this.#takePreface(chunk) : chunk);
      if (this.output.waitingBytes > MOST_UNREAD_BYTES)
        throw new ConnectionError(errorCode.enhanceYourCalm, "nothing is read");
    } catch (error) {
      this.fail(error as Error);
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
    if (this.isOver) return;
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
    const isIdle = this.sender.frames === this.#framesBefore;
    this.#framesBefore = this.sender.frames;
    if (isIdle) throw new ConnectionError(errorCode.enhanceYourCalm, "too many frames without use");
    this.#noise.refill();
  }

  #isIdle(streamId: number): boolean {
    return streamId > this.lastStreamId || (streamId & 1) === 0;
  }

  #streamError(streamId: number, code: number): void {
    if (!this.#resets.take()) throw new ConnectionError(errorCode.enhanceYourCalm, "too many streams go wrong");
    const stream = this.streams.get(streamId);
    if (stream === undefined) this.sendReset(streamId, code);
    else this.reset(stream, code);
  }

  #data(flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0) protocolError("data without a stream");
    const chunk = (flags & PADDED) === 0 ? payload : unpadded(payload, 0);
    if (this.#isIdle(streamId)) protocolError("data on a stream that is not open");
    this.receiveWindow -= payload.length;
    if (this.receiveWindow < 0) throw new ConnectionError(errorCode.flowControlError, "more than was asked for");
    const stream = this.streams.get(streamId);
    if (stream === undefined || stream.isReceiveEnded) {
      this.credit(payload.length);
      if (stream === undefined && this.closed.wasReset(streamId)) this.#bear();
      else this.#streamError(streamId, errorCode.streamClosed);
      return;
    }
    stream.receiveWindow -= payload.length;
    stream.bodyBytes += chunk.length;
    const isEnd = (flags & END_STREAM) !== 0;
    const announced = this.isServer ? stream.head.contentLength : (stream.answer?.contentLength ?? -1);
    if (stream.receiveWindow < 0) {
      this.credit(payload.length);
      this.#streamError(streamId, errorCode.flowControlError);
      return;
    }
    const isWrongLength =
      announced !== -1 && (stream.bodyBytes > announced || (isEnd && stream.bodyBytes !== announced));
    if (isWrongLength || (!this.isServer && stream.answer === undefined)) {
      this.credit(payload.length);
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

  #headers(flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0 || (this.isServer && (streamId & 1) === 0)) protocolError(`headers on stream ${streamId}`);
    if (!this.isServer && !this.streams.has(streamId) && this.#isIdle(streamId))
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
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (!this.isServer || streamId <= this.lastStreamId) this.#headersOfClosed(streamId);
      else this.#open(streamId, fields, isTooLarge, isEnd, dependsOnItself);
      return;
    }
    if (stream.isReceiveEnded) return this.#streamError(streamId, errorCode.streamClosed);
    if (dependsOnItself || isTooLarge) return this.#streamError(streamId, errorCode.protocolError);
    if (!this.isServer && stream.answer === undefined) return this.#takeAnswer(stream, fields, isEnd);
    const announced = this.isServer ? stream.head.contentLength : (stream.answer?.contentLength ?? -1);
    const isWrongLength = announced !== -1 && stream.bodyBytes !== announced;
    if (!isEnd || !areTrailers(fields) || isWrongLength) return this.#streamError(streamId, errorCode.protocolError);
    this.#receivedEnd(stream, fields);
  }

  /** Headers on a stream that is over: trailers that crossed our reset, or a mistake (section 5.1). */
  #headersOfClosed(streamId: number): void {
    if (this.closed.wasReset(streamId)) return this.#bear();
    if (this.closed.wasSkipped(streamId)) protocolError(`stream ${streamId} comes too late`);
    throw new ConnectionError(errorCode.streamClosed, `stream ${streamId} is closed`);
  }

  #open(
    streamId: number,
    fields: MessageHead["fields"],
    isTooLarge: boolean,
    isEnd: boolean,
    dependsOnItself: boolean,
  ): void {
    this.closed.skip(this.lastStreamId, streamId);
    this.lastStreamId = streamId;
    // Not to be answered: the other side was told that it will not be.
    if (this.hasLeft) {
      this.closed.addReset(streamId);
      return;
    }
    if (this.streams.size >= this.options.limits.maxStreams)
      return this.#streamError(streamId, errorCode.refusedStream);
    const head = dependsOnItself ? undefined : readRequestHead(fields);
    const isWrongLength = head !== undefined && isEnd && head.contentLength > 0;
    if (!isTooLarge && (head === undefined || isWrongLength))
      return this.#streamError(streamId, errorCode.protocolError);
    const { windowBytes } = this.peer;
    const { limits, onStream } = this.options;
    const stream = new Http2Stream(streamId, head ?? NO_HEAD, this, windowBytes, limits.streamWindowBytes);
    stream.isReceiveEnded = isEnd;
    this.streams.set(streamId, stream);
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
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.#bear();
    if (this.isServer && !this.#resets.take())
      throw new ConnectionError(errorCode.enhanceYourCalm, "too many streams are broken off");
    this.close(stream, payload.readUInt32BE(0));
  }

  #settings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("settings of a stream");
    if ((flags & ACK) !== 0) {
      if (payload.length > 0) throw new ConnectionError(errorCode.frameSizeError, "settings are acknowledged empty");
      return this.#bear();
    }
    this.#bear();
    const before = this.peer.windowBytes;
    applySettings(this.peer, payload, !this.isServer);
    if (!this.#hasSettings) {
      this.#hasSettings = true;
      this.begun();
    }
    this.sender.encoder.setTableLimit(this.peer.headerTableBytes);
    this.control.acknowledgeSettings();
    const change = this.peer.windowBytes - before;
    if (change === 0) return;
    for (const stream of this.streams.values()) this.#widen(stream, change);
    this.sender.pump();
  }

  #widen(stream: Http2Stream, bytes: number): void {
    stream.sendWindow += bytes;
    if (stream.sendWindow > LARGEST_WINDOW)
      throw new ConnectionError(errorCode.flowControlError, "a window is too large");
    this.sender.enqueue(stream);
  }

  #ping(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("a ping of a stream");
    if (payload.length !== 8) throw new ConnectionError(errorCode.frameSizeError, "a ping is of eight bytes");
    if ((flags & ACK) === 0) {
      this.#bear();
      this.control.answerPing(payload);
    } else if (payload.equals(FAREWELL_PING)) {
      if (this.isLeaving) this.left();
    } else {
      this.#bear();
      this.pings.shift()?.();
    }
  }

  #takeGoaway(streamId: number, payload: Buffer): void {
    if (streamId !== 0) protocolError("a farewell of a stream");
    if (payload.length < 8) throw new ConnectionError(errorCode.frameSizeError, "a farewell is cut off");
    this.#bear();
    if (this.isServer) return;
    this.isLeaving = true;
    const last = payload.readUInt32BE(0) & 0x7fffffff;
    for (const stream of this.streams.values()) if (stream.id > last) this.close(stream, errorCode.refusedStream);
    this.options.onGoaway?.();
    if (this.streams.size === 0) this.left();
    else this.hasLeft = true;
  }

  #takeWindowUpdate(streamId: number, payload: Buffer): void {
    if (payload.length !== 4) throw new ConnectionError(errorCode.frameSizeError, "a window is of four bytes");
    const bytes = payload.readUInt32BE(0) & 0x7fffffff;
    if (streamId === 0) {
      if (bytes === 0) protocolError("a window of nothing");
      this.sender.window += bytes;
      if (this.sender.window > LARGEST_WINDOW)
        throw new ConnectionError(errorCode.flowControlError, "the connection's window is too large");
      this.sender.pump();
      return;
    }
    if (this.#isIdle(streamId)) protocolError("a window of a stream that is not open");
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.#bear();
    if (bytes === 0) return this.#streamError(streamId, errorCode.protocolError);
    if (stream.sendWindow + bytes > LARGEST_WINDOW) return this.#streamError(streamId, errorCode.flowControlError);
    this.#widen(stream, bytes);
    this.sender.pump();
  }
}
