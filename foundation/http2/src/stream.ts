import type { HeaderField } from "./hpack/header-field.ts";
import type { MessageHead } from "./message-head.ts";

/** Fields to send, by name. */
export type HeaderValues = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** Hears what happens to a stream. */
export interface StreamListener {
  /** The answer's head (clients). */
  head?(head: MessageHead): void;
  /** A piece of the body. It is the listener's. */
  data(chunk: Buffer): void;
  /** The other side has said all. */
  ended(trailers: readonly HeaderField[]): void;
  /** Writing may go on after `write` answered false. */
  drained?(): void;
  /** Last of all, and once. `code`: an error code of HTTP/2; undefined: the connection was lost. */
  closed(code: number | undefined): void;
}

/** What carries a stream. */
export interface StreamCarrier {
  sendHead(stream: Http2Stream, status: number, headers: HeaderValues, isEnd: boolean): void;
  sendBody(stream: Http2Stream, chunk: Buffer, isShared: boolean): boolean;
  sendEnd(stream: Http2Stream, trailers: HeaderValues | undefined): void;
  reset(stream: Http2Stream, code: number): void;
  /** So many bytes of a body were taken: the other side may send as many more. */
  taken(stream: Http2Stream, bytes: number): void;
  heardEnd(stream: Http2Stream): void;
  sendLast(stream: Http2Stream, chunk: Buffer): void;
}

/** Pieces that wait for a stream's or its connection's turn beyond this make `write` answer false. */
export const STREAM_HIGH_WATER_BYTES: number = 64 * 1024;

/**
 * One request and its answer (RFC 9113, section 5.1). A plain object: nothing is made for it but what it needs, and no
 * event costs a turn of the event loop.
 */
export class Http2Stream {
  readonly id: number;
  /** Of the request; empty at a client. */
  readonly head: MessageHead;
  readonly #carrier: StreamCarrier;
  #listener: StreamListener | undefined;
  #isFlowing = false;
  #received: Buffer[] | undefined;
  #trailers: readonly HeaderField[] | undefined;
  #isEndHeard = false;

  // For the connection.
  sendWindow: number;
  receiveWindow: number;
  /** Bytes taken that the other side was not told of. */
  untoldBytes = 0;
  bodyBytes = 0;
  isHeadSent = false;
  isSendEnded = false;
  isReceiveEnded = false;
  isClosed = false;
  isQueued = false;
  /** The end comes after what waits. */
  isEnding = false;
  endTrailers: HeaderValues | undefined;
  waiting: Buffer[] = [];
  /** Bytes of the first of `waiting` that are sent. */
  waitingFrom = 0;
  waitingBytes = 0;
  isBlocked = false;
  /** Answer's head of a request that we made. */
  answer: MessageHead | undefined;
  closeCode: number | undefined;

  constructor(id: number, head: MessageHead, carrier: StreamCarrier, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.head = head;
    this.#carrier = carrier;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  /** Who hears of it. Bodies come once `flow` is called. */
  set listener(listener: StreamListener) {
    this.#listener = listener;
  }

  /** Whether the listener has heard all of the body. */
  get isEndHeard(): boolean {
    return this.#isEndHeard;
  }

  /** Lets the body come; what has come already comes at once. */
  flow(): void {
    if (this.#isFlowing) return;
    this.#isFlowing = true;
    while (this.#isFlowing && this.#received !== undefined && this.#received.length > 0) {
      const chunk = this.#received.shift()!;
      this.#carrier.taken(this, chunk.length);
      this.#listener?.data(chunk);
    }
    if (this.#isFlowing && this.#trailers !== undefined && !this.#isEndHeard) this.#end();
  }

  /** Lets the body wait. The other side is told to stop when its window is used up. */
  pause(): void {
    this.#isFlowing = false;
  }

  /** Starts the answer. Does nothing when it has begun or the stream is closed. */
  respond(status: number, headers: HeaderValues, isEnd = false): void {
    if (this.isHeadSent || this.isClosed) return;
    this.isHeadSent = true;
    this.#carrier.sendHead(this, status, headers, isEnd);
  }

  /** An answer ahead of the answer: 1xx. */
  inform(status: number, headers: HeaderValues = {}): void {
    if (!this.isHeadSent && !this.isClosed) this.#carrier.sendHead(this, status, headers, false);
  }

  /** Sends a piece of the body. False: enough for now, until `drained`; nobody may change it before `waitingBytes` is 0. */
  write(chunk: Buffer): boolean {
    if (this.isEnding || this.isSendEnded || this.isClosed || chunk.length === 0) return true;
    return this.#carrier.sendBody(this, chunk, false);
  }

  /** The same with a piece that nobody changes any more: it may be read at any time. Cheaper when many streams send it. */
  writeShared(chunk: Buffer): boolean {
    if (this.isEnding || this.isSendEnded || this.isClosed || chunk.length === 0) return true;
    return this.#carrier.sendBody(this, chunk, true);
  }

  /** Ends what we send, after all that waits. */
  end(trailers?: HeaderValues): void {
    if (this.isEnding || this.isSendEnded || this.isClosed) return;
    this.isEnding = true;
    this.#carrier.sendEnd(this, trailers);
  }

  /** Sends a last piece, and ends. */
  endWith(chunk: Buffer): void {
    if (chunk.length === 0) this.end();
    else if (!this.isEnding && !this.isSendEnded && !this.isClosed) this.#carrier.sendLast(this, chunk);
  }

  /** Breaks the stream off. */
  reset(code: number): void {
    if (!this.isClosed) this.#carrier.reset(this, code);
  }

  /** For the connection: the answer's head has come. */
  takeHead(head: MessageHead): void {
    this.#listener?.head?.(head);
  }

  /** For the connection: a piece has come. */
  takeData(chunk: Buffer): void {
    if (this.#isFlowing) {
      this.#carrier.taken(this, chunk.length);
      this.#listener?.data(chunk);
    } else {
      (this.#received ??= []).push(chunk);
    }
  }

  /** For the connection: the other side has ended. */
  takeEnd(trailers: readonly HeaderField[]): void {
    this.#trailers = trailers;
    if (this.#isFlowing) this.#end();
  }

  #end(): void {
    this.#isEndHeard = true;
    this.#listener?.ended(this.#trailers ?? []);
    this.#carrier.heardEnd(this);
  }

  /** For the connection: bytes that came and that nobody will take. */
  dropReceived(): number {
    let bytes = 0;
    for (const chunk of this.#received ?? []) bytes += chunk.length;
    this.#received = undefined;
    return bytes;
  }

  /** For the connection: there is room again. */
  tellDrained(): void {
    this.isBlocked = false;
    this.#listener?.drained?.();
  }

  /** For the connection: the end of all. */
  tellClosed(code: number | undefined): void {
    this.closeCode = code;
    this.#listener?.closed(code);
  }
}
