import { Counter, Gauge, Histogram, type Clock } from "@coracle/base";
import type { Transport, TransportRequest, TransportResponse } from "./transport/transport.ts";

const SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];
const BYTES = [64, 256, 512, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216];
const BY_VERB = ["host", "verb"];

/** What a program counts of its requests to API servers, and of its leases, under upstream's names. */
export class ClientMetrics {
  readonly #clock: Clock;
  readonly #leases = new Map<string, boolean>();
  readonly #requests = new Counter(
    "rest_client_requests_total",
    "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.",
    ["code", "host", "method"],
  );
  readonly #seconds = new Histogram(
    "rest_client_request_duration_seconds",
    "[ALPHA] Request latency in seconds. Broken down by verb, and host.",
    SECONDS,
    BY_VERB,
  );
  readonly #requestBytes = new Histogram(
    "rest_client_request_size_bytes",
    "[ALPHA] Request size in bytes. Broken down by verb and host.",
    BYTES,
    BY_VERB,
  );
  readonly #responseBytes = new Histogram(
    "rest_client_response_size_bytes",
    "[ALPHA] Response size in bytes. Broken down by verb and host.",
    BYTES,
    BY_VERB,
  );
  readonly #isLeader = new Gauge(
    "leader_election_master_status",
    "[ALPHA] Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.",
    ["name"],
    () => [...this.#leases].map(([name, isLeader]) => [[name], isLeader ? 1 : 0] as const),
  );

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the lease of this name is held. */
  leads(lease: string, isLeader: boolean): void {
    this.#leases.set(lease, isLeader);
  }

  /** `transport`, with what is asked over it counted; `server` is its URL. */
  watch(transport: Transport, server: string): Transport {
    const { host } = new URL(server);
    return {
      request: (request) => this.#measured(transport, host, request),
      [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
    };
  }

  async #measured(transport: Transport, host: string, request: TransportRequest): Promise<TransportResponse> {
    const began = this.#clock.monotonicMs();
    const { method } = request;
    let response: TransportResponse;
    try {
      response = await transport.request(request);
    } catch (error) {
      this.#requests.add(1, "<error>", host, method);
      throw error;
    }
    this.#requests.add(1, String(response.status), host, method);
    // A watch has no end to be waited for.
    if (/[?&]watch=(?:true|1)/.test(request.path)) return response;
    const ended = (bytes: number): void => {
      this.#seconds.observe((this.#clock.monotonicMs() - began) / 1000, host, method);
      this.#requestBytes.observe(request.body?.length ?? 0, host, method);
      this.#responseBytes.observe(bytes, host, method);
    };
    return { ...response, body: measured(response.body, ended) };
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return [this.#isLeader, this.#seconds, this.#requestBytes, this.#requests, this.#responseBytes]
      .map((each) => each.text())
      .join("");
  }
}

/** `body`, whose length is told at its end. */
async function* measured(body: AsyncIterable<Buffer>, ended: (bytes: number) => void): AsyncGenerator<Buffer> {
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.length;
      yield piece;
    }
  } finally {
    ended(bytes);
  }
}
