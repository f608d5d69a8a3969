import { sleep, type Clock, type Random } from "@coracle/base";
import type { Transport, TransportRequest, TransportResponse } from "@coracle/client";

/** How often an API server fails, each as a share of one. Nothing of it is done half. */
export interface Faults {
  /** Writes that are refused because somebody else was quicker. */
  readonly conflicts?: number;
  /** Requests that are told to come again later. */
  readonly throttled?: number;
  /** Requests that fail for no reason. */
  readonly errors?: number;
  /** Requests that take long; and how long. */
  readonly slow?: number;
  readonly slowMs?: number;
  /** Watches that end after each so many pieces. */
  readonly watchPieces?: number;
  /** Writes of objects whose path holds this always fail. */
  readonly poison?: string;
}

/** `transport` with faults. */
export function createFaultyTransport(transport: Transport, faults: Faults, clock: Clock, random: Random): Transport {
  const { conflicts = 0, throttled = 0, errors = 0, slow = 0, slowMs = 1000, watchPieces, poison } = faults;
  const happens = (share: number): boolean => share > 0 && random.next() < share;
  return {
    async request(request) {
      if (happens(slow)) await sleep(clock, slowMs, request.signal);
      if (poison !== undefined && request.method !== "GET" && isAbout(request, poison))
        return failure(500, "InternalError", "poisoned");
      if (happens(throttled)) return failure(429, "TooManyRequests", "too many requests", { "retry-after": "1" });
      if (happens(errors)) return failure(500, "InternalError", "etcdserver: request timed out");
      if (["PUT", "PATCH"].includes(request.method) && happens(conflicts))
        return failure(
          409,
          "Conflict",
          "the object has been modified; please apply your changes to the latest version",
        );
      const response = await transport.request(request);
      const isWatch = /[?&]watch=(true|1)/.test(request.path);
      return isWatch && watchPieces !== undefined ? { ...response, body: first(response.body, watchPieces) } : response;
    },
    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  };
}

const isAbout = ({ path, body }: TransportRequest, name: string): boolean =>
  path.includes(`/${name}`) || body?.includes(`"${name}`) === true;

async function* first(body: AsyncIterable<Buffer>, count: number): AsyncIterable<Buffer> {
  let left = count;
  for await (const piece of body) {
    yield piece;
    if (--left === 0) return;
  }
}

function failure(
  code: number,
  reason: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): TransportResponse {
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
  const body = Buffer.from(JSON.stringify(status));
  return {
    status: code,
    headers: { "content-type": "application/json", ...headers },
    body: (async function* () {
      yield body;
    })(),
  };
}
