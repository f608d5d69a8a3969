import { sleep, systemClock } from "@coracle/base";

/**
 * Asks again until `attempt` answers without throwing and not with undefined or false. Throws, with the last
 * failure, when that did not happen in time.
 */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
  everyMs = 100,
): Promise<T> {
  const end = systemClock.monotonicMs() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await attempt();
      if (answer !== undefined && answer !== false) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (systemClock.monotonicMs() > end) {
      const why = last instanceof Error ? `: ${last.message}` : "";
      throw new Error(`after ${timeoutMs / 1000} s still not true: ${what}${why}`, { cause: last });
    }
    await sleep(systemClock, everyMs);
  }
}
