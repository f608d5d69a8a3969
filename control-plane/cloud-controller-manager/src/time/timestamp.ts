import type { Instant } from "@coracle/base";

/** An instant as API objects carry it: RFC 3339 in whole seconds. */
export function timestamp(now: Instant): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`;
}
