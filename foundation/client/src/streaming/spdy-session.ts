import { Duplex } from "node:stream";
import {
  dataFrames,
  goAwayFrame,
  pingFrame,
  rstFrame,
  SpdyFrameParser,
  SpdyProtocolError,
  synReplyFrame,
  synStreamFrame,
  type SpdyFrame,
} from "./spdy-frames.ts";
import { SpdyHeaderReader, SpdyHeaderWriter, type SpdyHeaders } from "./spdy-headers.ts";

const RST_INVALID_STREAM = 2;
const RST_REFUSED_STREAM = 3;
const RST_CANCEL = 5;
/** A session reads no more from its connection while one of its streams holds this much unread. */
const MAX_UNREAD_BYTES = 1_048_576;
const MAX_STREAMS = 1_024;

/** What a stream needs of the session that carries it. */
interface Carrier {
  send(parts: readonly Buffer[], done: (error?: Error | null) => void): void;
  resumeReading(stream: SpdyStream): void;
  forget(stream: SpdyStream): void;
}

/** One stream of a session: a half-closable byte stream with headers. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #carrier: Carrier;
  #reset = false;
  #isPeerDone = false;
  #isConnectionLost = false;
  /** Set while the peer's bytes wait for a reader. */
  isCongested = false;

  constructor(id: number, headers: SpdyHeaders, carrier: Carrier) {
    super({ allowHalfOpen: true, readableHighWaterMark: MAX_UNREAD_BYTES, emitClose: true });
    this.id = id;
    this.headers = headers;
    this.#carrier = carrier;
    // A reset stream is told by `close`; nobody has to listen for errors of streams that a peer opens.
    this.on("error", () => {});
  }

  /** Bytes from the peer. */
  deliver(data: Buffer, fin: boolean): void {
    if (this.destroyed) return;
    if (data.length > 0 && !this.push(Buffer.from(data))) this.isCongested = true;
    if (fin) {
      this.#isPeerDone = true;
      this.push(null);
    }
  }

  /** The connection is gone. What the peer had sent completely can still be read. */
  connectionLost(): void {
    if (!this.#isPeerDone || this.readableEnded) {
      this.#reset = true;
      this.destroy();
      return;
    }
    this.#isConnectionLost = true;
    this.end();
  }

  /** The peer broke the stream off. */
  deliverReset(): void {
    this.#reset = true;
    if (this.#isPeerDone) this.connectionLost();
    else this.destroy();
  }

  override _read(): void {
    if (!this.isCongested) return;
    this.isCongested = false;
    this.#carrier.resumeReading(this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#isConnectionLost) done();
    else this.#carrier.send(dataFrames(this.id, chunk, false), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#isConnectionLost) done();
    else this.#carrier.send(dataFrames(this.id, Buffer.alloc(0), true), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isOver = this.writableFinished && this.readableEnded;
    if (!this.#reset && !isOver) this.#carrier.send([rstFrame(this.id, RST_CANCEL)], () => {});
    this.#carrier.resumeReading(this);
    this.#carrier.forget(this);
    done(error);
  }
}

export interface SpdySessionOptions {
  readonly role: "client" | "server";
  /** A stream that the peer opened. It is answered before this is called. Return false to refuse it instead. */
  readonly onStream?: ((stream: SpdyStream) => void) | undefined;
  readonly accept?: ((headers: SpdyHeaders) => boolean) | undefined;
}

/**
 * A SPDY/3.1 session over any byte stream. Clients of the streaming endpoints send no window updates, so none are
 * waited for and none are sent: the connection's own back-pressure bounds both directions.
 */
export class SpdySession {
  readonly #connection: Duplex;
  readonly #options: SpdySessionOptions;
  readonly #parser = new SpdyFrameParser();
  readonly #reader = new SpdyHeaderReader();
  readonly #writer = new SpdyHeaderWriter();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #replies = new Map<number, (error?: Error) => void>();
  readonly #congested = new Set<SpdyStream>();
  #waiting: ((error?: Error | null) => void)[] = [];
  #nextId: number;
  /** Highest stream id that the peer has opened. */
  #lastSeen = 0;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;

  constructor(connection: Duplex, options: SpdySessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
    this.closed = new Promise((resolve) => {
      connection.once("close", () => {
        this.#end();
        resolve();
      });
    });
    connection.on("error", () => connection.destroy());
    connection.once("end", () => {
      this.#end();
      connection.end();
    });
    connection.on("drain", () => this.#release());
    connection.on("data", (chunk: Buffer) => this.#receive(chunk));
  }

  /** Opens a stream; resolves when the peer has accepted it. */
  async open(headers: SpdyHeaders): Promise<SpdyStream> {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#adopt(id, headers);
    await new Promise<void>((resolve, reject) => {
      this.#replies.set(id, (error) => (error === undefined ? resolve() : reject(error)));
      this.#write([synStreamFrame(id, this.#writer.write(headers))]);
    });
    return stream;
  }

  /** Sends what is written, says goodbye and ends the connection. */
  close(): void {
    if (this.#connection.writable) this.#connection.end(goAwayFrame(this.#lastSeen));
  }

  #adopt(id: number, headers: SpdyHeaders): SpdyStream {
    const stream = new SpdyStream(id, headers, {
      send: (parts, done) => this.#send(parts, done),
      resumeReading: (of) => {
        this.#congested.delete(of);
        if (this.#congested.size === 0) this.#connection.resume();
      },
      forget: (of) => this.#streams.delete(of.id),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#parser.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#connection.destroy(error instanceof Error ? error : new SpdyProtocolError(String(error)));
    }
  }

  #take(frame: SpdyFrame): void {
    switch (frame.type) {
      case "synStream":
        this.#peerOpens(frame.streamId, frame.fin, this.#reader.read(frame.headerBlock));
        return;
      case "synReply": {
        this.#reader.read(frame.headerBlock);
        this.#replies.get(frame.streamId)?.();
        this.#replies.delete(frame.streamId);
        if (frame.fin) this.#streams.get(frame.streamId)?.deliver(Buffer.alloc(0), true);
        return;
      }
      case "headers":
        this.#reader.read(frame.headerBlock);
        return;
      case "rst":
        this.#replies.get(frame.streamId)?.(new Error(`stream refused (status ${frame.status})`));
        this.#replies.delete(frame.streamId);
        this.#streams.get(frame.streamId)?.deliverReset();
        return;
      case "ping":
        // Pings of our own numbering would be answers; we send none.
        if (frame.id % 2 === (this.#options.role === "server" ? 1 : 0)) this.#write([pingFrame(frame.id)]);
        return;
      case "data": {
        const stream = this.#streams.get(frame.streamId);
        if (stream === undefined) {
          // Data may cross our own reset; only a stream that never was is an error.
          if (!this.#wasSeen(frame.streamId)) this.#write([rstFrame(frame.streamId, RST_INVALID_STREAM)]);
          return;
        }
        stream.deliver(frame.data, frame.fin);
        if (stream.isCongested) {
          this.#congested.add(stream);
          this.#connection.pause();
        }
        return;
      }
      case "goAway":
      case "ignored":
        return;
    }
  }

  #wasSeen(streamId: number): boolean {
    const isPeers = streamId % 2 === (this.#options.role === "server" ? 1 : 0);
    return isPeers ? streamId <= this.#lastSeen : streamId < this.#nextId;
  }

  #peerOpens(id: number, fin: boolean, headers: SpdyHeaders): void {
    const isPeers = id % 2 === (this.#options.role === "server" ? 1 : 0);
    if (!isPeers || id <= this.#lastSeen) throw new SpdyProtocolError("SPDY stream id out of order");
    this.#lastSeen = id;
    const isRefused =
      this.#options.onStream === undefined ||
      this.#streams.size >= MAX_STREAMS ||
      this.#options.accept?.(headers) === false;
    if (isRefused) {
      this.#write([rstFrame(id, RST_REFUSED_STREAM)]);
      return;
    }
    const stream = this.#adopt(id, headers);
    this.#write([synReplyFrame(id, this.#writer.write(new Map()))]);
    if (fin) stream.deliver(Buffer.alloc(0), true);
    this.#options.onStream?.(stream);
  }

  #write(parts: readonly Buffer[]): boolean {
    if (!this.#connection.writable) return true;
    let hasRoom = true;
    this.#connection.cork();
    for (const part of parts) if (part.length > 0) hasRoom = this.#connection.write(part);
    this.#connection.uncork();
    return hasRoom;
  }

  #send(parts: readonly Buffer[], done: (error?: Error | null) => void): void {
    if (!this.#connection.writable) done(new Error("the connection is closed"));
    else if (this.#write(parts)) done();
    else this.#waiting.push(done);
  }

  #release(error?: Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done(error ?? null);
  }

  #end(): void {
    const gone = new Error("the connection is closed");
    for (const reply of this.#replies.values()) reply(gone);
    this.#replies.clear();
    for (const stream of this.#streams.values()) stream.connectionLost();
    this.#release(gone);
  }
}
