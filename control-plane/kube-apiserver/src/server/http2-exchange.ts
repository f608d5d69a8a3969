import { requestEntityTooLarge } from "@coracle/apimachinery";
import { errorCode, type Http2Stream, type StreamListener } from "@coracle/http2";
import type { BodyWriter, Exchange, Peer, ResponseHeaders } from "./exchange.ts";

/** What a connection is used for. */
export interface ConnectionUse {
  /** Answers that are written piece by piece, and may be silent for long. */
  openBodies: number;
}

const gone = (): DOMException => new DOMException("the client is gone", "AbortError");

/** Takes a body. */
interface BodyReader {
  data(chunk: Buffer): void;
  ended(): void;
  closed(): void;
}

/** An HTTP/2 stream as an exchange. */
export class Http2Exchange implements Exchange, StreamListener {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer: Peer;
  readonly upgrade = undefined;
  status: number | undefined = undefined;
  sentBytes: number | undefined = undefined;
  readonly #stream: Http2Stream;
  readonly #connection: ConnectionUse;
  #headers: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  #abort: AbortController | undefined;
  #reader: BodyReader | undefined;
  #body: StreamBody | undefined;

  constructor(stream: Http2Stream, peer: Peer & ConnectionUse) {
    this.#connection = peer;
    this.#stream = stream;
    this.peer = peer;
    const { head } = stream;
    this.method = head.method;
    const url = head.path;
    const mark = url.indexOf("?");
    this.path = mark === -1 ? url : url.slice(0, mark);
    this.query = mark === -1 ? "" : url.slice(mark + 1);
    stream.listener = this;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#stream.isClosed) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    return this.#stream.head.get(name);
  }

  headers(): Readonly<Record<string, string | readonly string[] | undefined>> {
    return (this.#headers ??= this.#stream.head.record());
  }

  headerValues(name: string): readonly string[] {
    return this.#stream.head.all(name);
  }

  hasHeaderLike(prefix: string): boolean {
    for (const { name } of this.#stream.head.fields) if (name.startsWith(prefix)) return true;
    return false;
  }

  readBody(limitBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      let size = 0;
      this.#read({
        data: (chunk) => {
          size += chunk.length;
          if (size <= limitBytes) {
            parts.push(chunk);
            return;
          }
          parts.length = 0;
          reject(requestEntityTooLarge(limitBytes));
        },
        ended: () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts, size)),
        closed: () => reject(gone()),
      });
    });
  }

  async *bodyStream(): AsyncGenerator<Buffer> {
    const stream = this.#stream;
    const chunks: Buffer[] = [];
    let isEnded = false;
    let isGone = false;
    let wake: (() => void) | undefined;
    this.#read({
      data: (chunk) => {
        chunks.push(chunk);
        // The other side waits until this piece is taken.
        stream.pause();
        wake?.();
      },
      ended: () => {
        isEnded = true;
        wake?.();
      },
      closed: () => {
        isGone = true;
        wake?.();
      },
    });
    try {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk !== undefined) {
          yield chunk;
        } else if (isEnded) {
          return;
        } else if (isGone) {
          throw gone();
        } else {
          const more = new Promise<void>((resolve) => (wake = resolve));
          stream.flow();
          if (chunks.length > 0 || isEnded || isGone) wake?.();
          await more;
        }
      }
    } finally {
      // What nobody wants must not hold the stream up.
      this.#reader = undefined;
      stream.flow();
    }
  }

  #read(reader: BodyReader): void {
    const stream = this.#stream;
    if (stream.isEndHeard) {
      reader.ended();
      return;
    }
    if (stream.isClosed) {
      reader.closed();
      return;
    }
    this.#reader = reader;
    if (stream.bodyBytes === 0 && !stream.isReceiveEnded && stream.head.get("expect") === "100-continue")
      stream.inform(100);
    stream.flow();
  }

  get isStarted(): boolean {
    return this.#stream.isHeadSent;
  }

  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    const stream = this.#stream;
    if (stream.isClosed || stream.isHeadSent) return;
    this.status = status;
    if (body === undefined || body.length === 0 || this.method === "HEAD") {
      stream.respond(status, headers, true);
      return;
    }
    this.sentBytes = body.length;
    stream.respond(status, headers);
    stream.endWith(body);
  }

  stream(status: number, headers: ResponseHeaders): BodyWriter {
    const stream = this.#stream;
    if (stream.isHeadSent) throw new DOMException("the request was answered already", "AbortError");
    this.status = status;
    const body = (this.#body = new StreamBody(stream));
    if (stream.isClosed) return body;
    this.#connection.openBodies += 1;
    // Whoever asks for the head alone gets no more.
    stream.respond(status, headers, this.method === "HEAD");
    // Whatever still comes is not waited for.
    if (this.#reader === undefined) stream.flow();
    return body;
  }

  // StreamListener

  data(chunk: Buffer): void {
    this.#reader?.data(chunk);
  }

  ended(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.ended();
  }

  drained(): void {
    this.#body?.drain();
  }

  closed(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.closed();
    if (this.#body !== undefined) {
      this.#connection.openBodies -= 1;
      this.#body.close();
    }
    this.#abort?.abort();
  }
}

/** The body of an answer on a stream of HTTP/2: what is written in a turn of the event loop goes out together. */
class StreamBody implements BodyWriter {
  readonly batches = true;
  readonly #stream: Http2Stream;
  #waiters: (() => void)[] | undefined;
  #onClose: (() => void)[] | undefined;
  #whenSent: (() => void)[] | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  write(chunk: Buffer, whenSent?: () => void): boolean {
    if (whenSent === undefined) return this.#stream.writeShared(chunk);
    const mayGoOn = this.#stream.write(chunk);
    if (this.#stream.isClosed) return mayGoOn;
    // What does not wait has been copied.
    if (this.#stream.waitingBytes > 0) (this.#whenSent ??= []).push(whenSent);
    else whenSent();
    return mayGoOn;
  }

  drained(): Promise<void> {
    if (this.isClosed || !this.#stream.isBlocked) return Promise.resolve();
    return new Promise((resolve) => (this.#waiters ??= []).push(resolve));
  }

  get bufferedBytes(): number {
    return this.#stream.waitingBytes;
  }

  get isClosed(): boolean {
    return this.#stream.isClosed || this.#stream.isEnding;
  }

  end(): void {
    this.#stream.end();
  }

  abort(): void {
    this.#stream.reset(errorCode.internalError);
  }

  onClose(action: () => void): void {
    if (this.#stream.isClosed) action();
    else (this.#onClose ??= []).push(action);
  }

  /** For the exchange: nothing waits any more, or never will. */
  drain(): void {
    const sent = this.#whenSent;
    this.#whenSent = undefined;
    if (!this.#stream.isClosed) for (const action of sent ?? []) action();
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const resolve of waiters ?? []) resolve();
  }

  /** For the exchange: the stream is closed. */
  close(): void {
    this.drain();
    const actions = this.#onClose;
    this.#onClose = undefined;
    for (const action of actions ?? []) action();
  }
}
