import type { Clock } from "@coracle/base";

/** Remembers forwarded answers for a short while; holds at most `maxEntries`, the oldest go first. */
export interface AnswerCache {
  get(question: string): Buffer | undefined;
  put(question: string, answer: Buffer, ttlSeconds: number): void;
}

const MAX_TTL_SECONDS = 30;

export function createAnswerCache(clock: Clock, maxEntries = 2000): AnswerCache {
  const entries = new Map<string, { readonly answer: Buffer; readonly until: number }>();
  return {
    get(question) {
      const entry = entries.get(question);
      if (entry === undefined) return undefined;
      if (entry.until > clock.now()) return entry.answer;
      entries.delete(question);
      return undefined;
    },
    put(question, answer, ttlSeconds) {
      if (ttlSeconds <= 0) return;
      entries.delete(question);
      if (entries.size >= maxEntries) {
        const oldest = entries.keys().next().value;
        if (oldest !== undefined) entries.delete(oldest);
      }
      entries.set(question, { answer, until: clock.now() + Math.min(ttlSeconds, MAX_TTL_SECONDS) * 1000 });
    },
  };
}
