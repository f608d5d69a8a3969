import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { requestEntityTooLarge } from "@coracle/apimachinery";
import type { BodyWriter, Exchange, Peer, ResponseHeaders } from "./exchange.ts";

/** What a connection is used for. */
export interface ConnectionUse {
  /** Answers that are written piece by piece, and may be silent for long. */
  openBodies: number;
}

/** An HTTP/2 stream as an exchange. Uses the stream API: the compatibility layer costs a fifth of the throughput. */
export class Http2Exchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer: Peer;
  readonly upgrade = undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #rawHeaders: readonly string[];
  readonly #connection: ConnectionUse;
  #abort: AbortController | undefined;
  #hasUnreadEnd = false;

  /** `rawHeaders`: names and values in turn, as they were sent. */
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    peer: Peer & ConnectionUse,
    rawHeaders: readonly string[],
  ) {
    this.#connection = peer;
    this.#rawHeaders = rawHeaders;
    this.#stream = stream;
    this.#headers = headers;
    this.peer = peer;
    this.method = headers[":method"] as unknown as string;
    const url = headers[":path"] as unknown as string;
    const mark = url.indexOf("?");
    this.path = mark === -1 ? url : url.slice(0, mark);
    this.query = mark === -1 ? "" : url.slice(mark + 1);
    stream.on("error", ignore); // resets by the client; "close" follows
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const controller = (this.#abort = new AbortController());
      if (this.#stream.destroyed) controller.abort();
      else this.#stream.once("close", () => controller.abort());
    }
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  headers(): Readonly<Record<string, string | readonly string[] | undefined>> {
    return this.#headers;
  }

  headerValues(name: string): readonly string[] {
    const raw = this.#rawHeaders;
    return raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name);
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const stream = this.#stream;
    const announced = Number(this.#headers["content-length"] ?? Number.NaN);
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      let size = 0;
      const cutOff = (): void => reject(new DOMException("the client is gone", "AbortError"));
      const done = (): void => {
        stream.removeListener("close", cutOff);
        resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts, size));
      };
      const take = (chunk: Buffer): void => {
        size += chunk.length;
        if (size > limitBytes) {
          stream.removeAllListeners("data");
          stream.resume();
          reject(requestEntityTooLarge(limitBytes));
          return;
        }
        parts.push(chunk);
        if (size !== announced) return;
        // All is here: the end, which would destroy the stream too early, is left unread until the answer is out.
        stream.removeListener("data", take);
        stream.removeListener("end", done);
        stream.pause();
        this.#hasUnreadEnd = true;
        done();
      };
      stream.on("data", take);
      stream.once("close", cutOff);
      stream.once("end", done);
    });
  }

  bodyStream(): AsyncIterable<Buffer> {
    return this.#stream;
  }

  status: number | undefined = undefined;
  sentBytes: number | undefined = undefined;

  get isStarted(): boolean {
    return this.#stream.headersSent;
  }

  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed || stream.headersSent) return;
    this.status = status;
    headers[constants.HTTP2_HEADER_STATUS] = status;
    if (body === undefined || body.length === 0 || this.method === "HEAD") {
      stream.respond(headers as Record<string, string>, { endStream: true });
    } else {
      stream.respond(headers as Record<string, string>);
      this.sentBytes = body.length;
      stream.end(body);
    }
    if (this.#hasUnreadEnd) stream.once("finish", resume);
    else this.#discardBody();
  }

  stream(status: number, headers: ResponseHeaders): BodyWriter {
    headers[constants.HTTP2_HEADER_STATUS] = status;
    this.status = status;
    if (this.#stream.headersSent) throw new DOMException("the request was answered already", "AbortError");
    if (!this.#stream.destroyed) this.#stream.respond(headers as Record<string, string>);
    if (!this.#stream.readableEnded) this.#stream.resume();
    const connection = this.#connection;
    connection.openBodies += 1;
    this.#stream.once("close", () => (connection.openBodies -= 1));
    return new StreamBody(this.#stream);
  }

  /**
   * A body that nobody wants any more must not hold the stream open. Where there is none, the end is better not read:
   * a stream that was read to its end is destroyed before its last write is confirmed, which Node answers with an
   * error made for nobody.
   */
  #discardBody(): void {
    if (!this.#stream.endAfterHeaders && !this.#stream.readableEnded) this.#stream.resume();
  }
}

function ignore(): void {}

function resume(this: ServerHttp2Stream): void {
  this.resume();
}

/** The part of a Node writable that bodies need: HTTP/2 streams and HTTP/1.1 responses have it. */
interface Writable {
  write(chunk: Buffer, done?: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(): unknown;
  once(event: "drain" | "close", action: () => void): unknown;
  removeListener(event: "drain" | "close", action: () => void): unknown;
  readonly writableLength: number;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
}

/** A Node stream as a body writer. */
export class StreamBody implements BodyWriter {
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  write(chunk: Buffer, whenSent?: () => void): boolean {
    if (this.isClosed) return true;
    if (whenSent === undefined) return this.#stream.write(chunk);
    return this.#stream.write(chunk, (error) => {
      if (error === null || error === undefined) whenSent();
    });
  }

  drained(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      if (this.isClosed) {
        resolve();
        return;
      }
      const done = (): void => {
        stream.removeListener("drain", done);
        stream.removeListener("close", done);
        resolve();
      };
      stream.once("drain", done);
      stream.once("close", done);
    });
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  get isClosed(): boolean {
    return this.#stream.destroyed || this.#stream.writableEnded;
  }

  end(): void {
    if (!this.isClosed) this.#stream.end();
  }

  abort(): void {
    this.#stream.destroy();
  }

  onClose(action: () => void): void {
    if (this.#stream.destroyed) action();
    else this.#stream.once("close", action);
  }
}
