import type { Clock, Logger, Timer } from "@coracle/base";
import { GrpcChannel } from "@coracle/etcd";
import { encodeSpans, type Span } from "./span.ts";

const QUEUE = 2_048;
const BATCH = 512;
const DELAY_MS = 5_000;
const TIMEOUT_MS = 10_000;
const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/** Sends spans to a collector by and by (OTLP over gRPC). What it does not take in time is dropped: traces never hold up a request. */
export class SpanExporter implements AsyncDisposable {
  readonly #channel: GrpcChannel;
  readonly #service: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: Span[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #hasFailed = false;

  constructor(options: {
    readonly endpoint: string;
    readonly service: Readonly<Record<string, string>>;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#channel = new GrpcChannel(new URL(`http://${options.endpoint}`), { clock: options.clock });
    this.#service = options.service;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  add(span: Span): void {
    if (this.#waiting.length >= QUEUE) return;
    this.#waiting.push(span);
    if (this.#waiting.length >= BATCH) this.#start();
    else if (this.#timer === undefined) {
      this.#timer = this.#clock.after(DELAY_MS, () => this.#start());
      this.#timer.unref();
    }
  }

  #start(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      try {
        await this.#channel.unary(EXPORT, encodeSpans(this.#service, batch), { timeoutMs: TIMEOUT_MS });
        this.#hasFailed = false;
      } catch (error) {
        // Once is enough: the collector may be down for long.
        if (!this.#hasFailed) this.#logger.error("traces were not exported", { error: (error as Error).message });
        this.#hasFailed = true;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#start();
    await this.#sending;
    this.#channel.disconnect();
  }
}
