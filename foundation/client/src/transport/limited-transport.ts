import { sleep, type Clock } from "@coracle/base";
import type { Transport } from "./transport.ts";

/** How often requests may be made: so many a second, and so many at once after a pause. */
export interface RequestLimit {
  readonly qps: number;
  readonly burst: number;
}

/** Requests beyond the limit wait for their turn, first come, first served. */
export function limitTransport(transport: Transport, { qps, burst }: RequestLimit, clock: Clock): Transport {
  /** Below 0: so many were promised already. */
  let tokens = burst;
  let at = clock.monotonicMs();
  return {
    async request(request) {
      const now = clock.monotonicMs();
      tokens = Math.min(burst, tokens + ((now - at) / 1000) * qps) - 1;
      at = now;
      if (tokens < 0) await sleep(clock, (-tokens / qps) * 1000, request.signal);
      return await transport.request(request);
    },
    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  };
}
