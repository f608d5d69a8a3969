import { X509Certificate } from "node:crypto";
import type { Transport, TransportRequest, TransportResponse } from "@coracle/client";
import { requestEntityTooLarge } from "@coracle/apimachinery";
import type { BodyWriter, Exchange, Peer, ResponseHeaders } from "./exchange.ts";

/** As whom an in-memory transport speaks. The server checks it as it checks what comes over a socket. */
export interface MemoryIdentity {
  /** PEM. */
  readonly clientCertificate?: string | undefined;
  readonly token?: string | undefined;
}

const HIGH_WATER_BYTES = 1 << 20;

/** A body handed over inside the process: a queue of the writer's own buffers. */
class MemoryBody implements BodyWriter, AsyncIterable<Buffer> {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #isEnded = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #drain: (() => void)[] = [];
  #close: (() => void)[] = [];

  write(chunk: Buffer): boolean {
    if (this.#isEnded) return true;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#wake?.();
    return this.#buffered < HIGH_WATER_BYTES;
  }

  drained(): Promise<void> {
    if (this.#isEnded || this.#buffered < HIGH_WATER_BYTES) return Promise.resolve();
    return new Promise((resolve) => this.#drain.push(resolve));
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  get isClosed(): boolean {
    return this.#isEnded;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#wake?.();
    for (const resolve of this.#drain.splice(0)) resolve();
    for (const action of this.#close.splice(0)) action();
  }

  abort(error: Error = new Error("the server ended the answer")): void {
    this.#failure ??= error;
    this.end();
  }

  onClose(action: () => void): void {
    if (this.#isEnded) action();
    else this.#close.push(action);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#buffered -= chunk.length;
          if (this.#buffered < HIGH_WATER_BYTES) for (const resolve of this.#drain.splice(0)) resolve();
          yield chunk;
        } else if (this.#failure !== undefined) throw this.#failure;
        else if (this.#isEnded) return;
        else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
          this.#wake = undefined;
        }
      }
    } finally {
      this.end();
    }
  }
}

class MemoryExchange implements Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly peer: Peer;
  readonly upgrade = undefined;
  readonly response: Promise<TransportResponse>;
  readonly #request: TransportRequest;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #abort = new AbortController();
  #answer!: (response: TransportResponse) => void;
  #isStarted = false;

  constructor(request: TransportRequest, headers: Readonly<Record<string, string>>, peer: Peer) {
    this.#request = request;
    this.#headers = headers;
    this.peer = peer;
    this.method = request.method;
    const mark = request.path.indexOf("?");
    this.path = mark === -1 ? request.path : request.path.slice(0, mark);
    this.query = mark === -1 ? "" : request.path.slice(mark + 1);
    this.response = new Promise((resolve, reject) => {
      this.#answer = resolve;
      const fail = (): void => {
        this.#abort.abort(request.signal?.reason);
        reject(request.signal?.reason as Error);
      };
      if (request.signal?.aborted === true) fail();
      else request.signal?.addEventListener("abort", fail, { once: true });
      this.#abort.signal.addEventListener("abort", () => request.signal?.removeEventListener("abort", fail), {
        once: true,
      });
    });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    return this.#headers[name];
  }

  headers(): Readonly<Record<string, string>> {
    return this.#headers;
  }

  readBody(limitBytes: number): Promise<Buffer> {
    const body = this.#request.body ?? Buffer.alloc(0);
    if (body.length > limitBytes) return Promise.reject(requestEntityTooLarge(limitBytes));
    return Promise.resolve(body);
  }

  async *bodyStream(): AsyncGenerator<Buffer> {
    if (this.#request.body !== undefined) yield await Promise.resolve(this.#request.body);
  }

  status: number | undefined = undefined;
  sentBytes: number | undefined = undefined;

  get isStarted(): boolean {
    return this.#isStarted;
  }

  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    const writer = this.stream(status, headers);
    if (body !== undefined && this.method !== "HEAD") {
      this.sentBytes = body.length;
      writer.write(body);
    }
    writer.end();
  }

  stream(status: number, headers: ResponseHeaders): BodyWriter {
    this.#isStarted = true;
    this.status = status;
    const body = new MemoryBody();
    const onAbort = (): void => body.abort(this.#request.signal?.reason as Error);
    this.#abort.signal.addEventListener("abort", onAbort, { once: true });
    body.onClose(() => {
      this.#abort.signal.removeEventListener("abort", onAbort);
      this.#abort.abort();
    });
    const plain: Record<string, string | readonly string[]> = {};
    for (const [name, value] of Object.entries(headers)) {
      plain[name] = typeof value === "number" ? String(value) : value;
    }
    this.#answer({ status, headers: plain, body });
    return body;
  }
}

/** Requests to a server in this process: no socket, the same chain of filters. */
export function createMemoryTransport(handle: (exchange: Exchange) => void, identity: MemoryIdentity): Transport {
  const peer: Peer = {
    address: "127.0.0.1",
    certificates: identity.clientCertificate === undefined ? [] : [new X509Certificate(identity.clientCertificate)],
  };
  return {
    request(request) {
      const headers =
        identity.token === undefined || request.headers["authorization"] !== undefined
          ? request.headers
          : { ...request.headers, authorization: `Bearer ${identity.token}` };
      const exchange = new MemoryExchange(request, headers, peer);
      handle(exchange);
      return exchange.response;
    },
    async [Symbol.asyncDispose]() {},
  };
}
