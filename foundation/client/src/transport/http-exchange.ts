import { errorCode, type Http2Stream, type MessageHead, type StreamListener } from "@coracle/http2";
import { onAbort } from "@coracle/base";
import type { TransportRequest, TransportResponse } from "./transport.ts";

/** Bytes that may wait for whoever reads the body before the server is told to stop. */
const HIGH_WATER_BYTES = 256 * 1024;
const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Code of errors of requests that the server has not begun to work on: they can be made again. */
export const REFUSED = "REFUSED_STREAM";

/** The server has not begun to work on it. */
class RequestRefusedError extends Error {
  readonly code = REFUSED;
}

/** The connection, or the stream, ended before the answer did. */
export class ConnectionLostError extends Error {
  readonly code = "ECONNRESET";
}

interface Reader {
  readonly resolve: (result: IteratorResult<Buffer, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/** A request and its answer; it is its body, too. Whoever leaves the body by `break` ends the stream. */
export class HttpExchange implements StreamListener, AsyncIterableIterator<Buffer, undefined> {
  readonly #server: string;
  readonly #resolve: (response: TransportResponse) => void;
  readonly #reject: (error: Error) => void;
  /** Why the connection ended. */
  readonly #lossReason: () => Error | undefined;
  #stream: Http2Stream | undefined;
  #link: Disposable | undefined;
  #reader: Reader | undefined;
  #chunks: Buffer[] = [];
  #next = 0;
  #waitingBytes = 0;
  #isPaused = false;
  #isEnded = false;
  #error: Error | undefined;

  constructor(
    server: string,
    lossReason: () => Error | undefined,
    resolve: (response: TransportResponse) => void,
    reject: (error: Error) => void,
  ) {
    this.#server = server;
    this.#lossReason = lossReason;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The request is under way. */
  start(stream: Http2Stream, { body, signal }: TransportRequest): void {
    this.#stream = stream;
    if (body !== undefined) stream.endWith(body);
    if (signal !== undefined && !stream.isClosed) {
      this.#link = onAbort(signal, () => {
        this.#drop();
        this.#fail(signal.reason as Error);
        stream.reset(errorCode.cancel);
      });
    }
  }

  // StreamListener

  head(head: MessageHead): void {
    if (head.status < 200) return;
    this.#resolve({ status: head.status, headers: head.record(), body: this });
    this.#stream?.flow();
  }

  data(chunk: Buffer): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < HIGH_WATER_BYTES) return;
    this.#isPaused = true;
    this.#stream?.pause();
  }

  ended(): void {
    this.#isEnded = true;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(END);
  }

  closed(code: number | undefined): void {
    this.#link?.[Symbol.dispose]();
    if (this.#isEnded) return;
    if (code === undefined) {
      this.#fail(this.#lossReason() ?? new ConnectionLostError(`connection to ${this.#server} was lost`));
    } else if (code === errorCode.refusedStream) {
      this.#fail(new RequestRefusedError(`${this.#server} takes no request at the moment`));
    } else {
      this.#fail(new ConnectionLostError(`${this.#server} broke the stream off with code ${code}`));
    }
  }

  #fail(error: Error): void {
    if (this.#error !== undefined || this.#isEnded) return;
    this.#error = error;
    this.#reject(error);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(error);
  }

  // AsyncIterableIterator

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const value = this.#take();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isEnded) return Promise.resolve(END);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (!this.#isPaused) return;
      this.#isPaused = false;
      this.#stream?.flow();
    });
  }

  #take(): Buffer | undefined {
    if (this.#next === this.#chunks.length) return undefined;
    const chunk = this.#chunks[this.#next++]!;
    this.#waitingBytes -= chunk.length;
    if (this.#next === this.#chunks.length) this.#drop();
    return chunk;
  }

  #drop(): void {
    this.#chunks = [];
    this.#next = 0;
    this.#waitingBytes = 0;
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#isEnded = true;
    this.#drop();
    this.#stream?.reset(errorCode.cancel);
    return Promise.resolve(END);
  }
}
