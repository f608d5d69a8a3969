import { badRequest } from "@coracle/apimachinery";
import type { Clock, Timer } from "@coracle/base";
import type { ApiRequest } from "./api-request.ts";
import { isLongRunning } from "./request-info.ts";

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/;

/** How long a client lets its request take, at most the server's own limit. Throws 400. */
function askedTimeout(text: string, limitMs: number): number {
  if (!DURATION.test(text)) {
    const fault = /^[+-]?[\d.]*\d[\d.]*$/.test(text) ? "missing unit in duration" : "invalid duration";
    throw badRequest(`invalid timeout specified in the request URL - time: ${fault} ${JSON.stringify(text)}`);
  }
  let ms = 0;
  for (const [, count, unit = ""] of text.matchAll(/([\d.]+)([nuµm]?s|m|h)/g)) ms += Number(count) * UNITS_MS[unit]!;
  return ms > 0 && ms < limitMs && !text.startsWith("-") ? ms : limitMs;
}

/**
 * Ends requests that take too long. Requests with the server's own limit stand in one line, in the order in which
 * their time is up, so that they cost no timer each.
 */
export class RequestDeadlines {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #onTimeout: (request: ApiRequest) => void;
  readonly #line = new Set<ApiRequest>();
  #timer: Timer | undefined;

  constructor(clock: Clock, limitMs: number, onTimeout: (request: ApiRequest) => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#onTimeout = onTimeout;
  }

  /** Begins to count; the request's end stops it. Throws 400 when the request asks for no sensible time. */
  start(request: ApiRequest): void {
    if (isLongRunning(request.info)) return;
    const asked = request.query.get("timeout");
    if (asked !== null && asked !== "") {
      const timeoutMs = askedTimeout(asked, this.#limitMs);
      if (timeoutMs < this.#limitMs) {
        request.timeoutMs = timeoutMs;
        const timer = this.#clock.after(timeoutMs, () => this.#onTimeout(request));
        request.onFinish.push(() => timer[Symbol.dispose]());
        return;
      }
    }
    this.#line.add(request);
    if (this.#timer === undefined) this.#arm(this.#limitMs);
  }

  stop(request: ApiRequest): void {
    this.#line.delete(request);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#check());
    this.#timer.unref();
  }

  #check(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonicMs();
    for (const request of this.#line) {
      const left = request.startedAt + this.#limitMs - now;
      if (left > 0) {
        this.#arm(left);
        return;
      }
      this.#line.delete(request);
      this.#onTimeout(request);
    }
  }
}
