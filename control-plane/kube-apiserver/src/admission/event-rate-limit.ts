import { statusError } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";

/** One bound on how many events are written. */
export interface EventLimit {
  readonly type: "Server" | "Namespace" | "User" | "SourceAndObject";
  readonly qps: number;
  readonly burst: number;
  /** How many namespaces, users or pairs are remembered. Absent or 0: 4096. */
  readonly cacheSize?: number;
}

/** What the plugin must be told. */
export interface EventRateLimitConfiguration {
  readonly limits: readonly EventLimit[];
}

const CACHE_SIZE = 4096;

/** Fills at a steady rate; holds no more than the burst. */
class TokenBucket {
  #tokens: number;
  #at: number;

  constructor(burst: number, now: number) {
    this.#tokens = burst;
    this.#at = now;
  }

  take({ qps, burst }: EventLimit, now: number): boolean {
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) / 1000) * qps);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

function keyOf(type: EventLimit["type"], { namespace, context, object }: AdmissionAttributes): string {
  switch (type) {
    case "Server":
      return "";
    case "Namespace":
      return namespace;
    case "User":
      return context.user.name;
    case "SourceAndObject": {
      const event = (object ?? {}) as Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;
      const source = event["source"] ?? event["deprecatedSource"] ?? {};
      const about = event["involvedObject"] ?? event["regarding"] ?? {};
      const parts = [source["component"], source["host"]];
      parts.push(...["kind", "namespace", "name", "uid", "apiVersion"].map((field) => about[field]));
      return parts.join("");
    }
  }
}

/** Buckets by key; those unused for longest are forgotten. */
class Buckets {
  readonly #limit: EventLimit;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(limit: EventLimit) {
    this.#limit = limit;
  }

  /** What to say when there is no room for another event now. */
  refusal(attributes: AdmissionAttributes, now: number): string | undefined {
    const { type, burst, cacheSize = 0 } = this.#limit;
    const key = keyOf(type, attributes);
    const bucket = this.#buckets.get(key) ?? new TokenBucket(burst, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > (cacheSize === 0 ? CACHE_SIZE : cacheSize)) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    return bucket.take(this.#limit, now) ? undefined : `limit reached on type ${type} for key ${key}`;
  }
}

/** No more events are written than the limits allow. */
export function eventRateLimit(clock: Clock, { limits }: EventRateLimitConfiguration): AdmissionPlugin {
  const all = limits.map((limit) => new Buckets(limit));
  return {
    name: "EventRateLimit",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/events", "events.k8s.io/events"] },
    validate(attributes) {
      if (attributes.isDryRun) return;
      const now = clock.monotonicMs();
      const reasons = new Set(all.flatMap((buckets) => buckets.refusal(attributes, now) ?? []));
      if (reasons.size === 0) return;
      const [first = ""] = reasons;
      throw statusError(
        "TooManyRequests",
        `Too many requests: ${reasons.size === 1 ? first : `[${[...reasons].join(", ")}]`}`,
      );
    },
  };
}
