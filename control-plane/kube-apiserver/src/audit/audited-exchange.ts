import type { BodyWriter, Exchange, Peer, ResponseHeaders } from "../server/exchange.ts";

/** Told what goes through an exchange. */
export interface ExchangeListener {
  /** Bodies that were read whole. */
  body?: ((bytes: Buffer) => void) | undefined;
  started(status: number, headers: ResponseHeaders): void;
  /** The answer's bytes, piece by piece. Absent: nobody wants them. */
  answer?: ((bytes: Buffer) => void) | undefined;
  ended(): void;
  /** The end of an answer waits until it is released. */
  readonly isHolding?: boolean | undefined;
}

/** An exchange that tells a listener what goes through. */
export class AuditedExchange implements Exchange {
  readonly #base: Exchange;
  readonly #listener: ExchangeListener;
  /** What is not sent yet, and what it will be. */
  #held: { readonly send: () => void; readonly status: number; readonly bytes: number | undefined } | undefined;
  headerValues?: NonNullable<Exchange["headerValues"]>;
  hasHeaderLike?: NonNullable<Exchange["hasHeaderLike"]>;

  constructor(base: Exchange, listener: ExchangeListener) {
    this.#base = base;
    this.#listener = listener;
    if (base.headerValues !== undefined) this.headerValues = (name) => base.headerValues!(name);
    if (base.hasHeaderLike !== undefined) this.hasHeaderLike = (prefix) => base.hasHeaderLike!(prefix);
  }

  get method(): string {
    return this.#base.method;
  }
  get path(): string {
    return this.#base.path;
  }
  get query(): string {
    return this.#base.query;
  }
  get peer(): Peer {
    return this.#base.peer;
  }
  get signal(): AbortSignal {
    return this.#base.signal;
  }
  get sentBytes(): number | undefined {
    return this.#held === undefined ? this.#base.sentBytes : this.#held.bytes;
  }

  get status(): number | undefined {
    return this.#held?.status ?? this.#base.status;
  }
  get isStarted(): boolean {
    return this.#held !== undefined || this.#base.isStarted;
  }
  get upgrade(): Exchange["upgrade"] {
    return this.#base.upgrade;
  }

  header(name: string): string | undefined {
    return this.#base.header(name);
  }

  headers(): ReturnType<Exchange["headers"]> {
    return this.#base.headers();
  }

  async readBody(limitBytes: number): Promise<Buffer> {
    const bytes = await this.#base.readBody(limitBytes);
    this.#listener.body?.(bytes);
    return bytes;
  }

  bodyStream(): AsyncIterable<Buffer> {
    return this.#base.bodyStream();
  }

  send(status: number, headers: ResponseHeaders, body: Buffer | undefined): void {
    this.#listener.started(status, headers);
    if (body !== undefined) this.#listener.answer?.(body);
    if (this.#listener.isHolding === true)
      this.#held = { send: () => this.#base.send(status, headers, body), status, bytes: body?.length };
    else this.#base.send(status, headers, body);
    this.#listener.ended();
  }

  /** What was held is sent. */
  release(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.send();
  }

  stream(status: number, headers: ResponseHeaders): BodyWriter {
    const { answer, isHolding } = this.#listener;
    this.#listener.started(status, headers);
    const writer = this.#base.stream(status, headers);
    writer.onClose(() => this.#listener.ended());
    if (answer === undefined && isHolding !== true) return writer;
    const end = (): void => {
      if (isHolding !== true) return writer.end();
      this.#held = { send: () => writer.end(), status, bytes: this.#base.sentBytes };
      this.#listener.ended();
    };
    return {
      write(chunk, whenSent) {
        answer?.(chunk);
        return writer.write(chunk, whenSent);
      },
      drained: () => writer.drained(),
      get bufferedBytes() {
        return writer.bufferedBytes;
      },
      get isClosed() {
        return writer.isClosed;
      },
      end,
      abort: () => writer.abort(),
      onClose: (action) => writer.onClose(action),
    };
  }
}
