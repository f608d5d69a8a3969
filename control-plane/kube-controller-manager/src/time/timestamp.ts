import type { Instant } from "@coracle/base";

/** An instant as API objects carry it: RFC 3339 in whole seconds. */
export function timestamp(now: Instant): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`;
}

/** A timestamp as milliseconds; absent or unreadable: undefined. */
export function instantOf(text: string | undefined): Instant | undefined {
  if (text === undefined) return undefined;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

/** Orders objects by creation, then by name. */
export function byAge(
  a: { readonly metadata: { readonly creationTimestamp?: string | undefined; readonly name?: string | undefined } },
  b: { readonly metadata: { readonly creationTimestamp?: string | undefined; readonly name?: string | undefined } },
): number {
  const difference = (instantOf(a.metadata.creationTimestamp) ?? 0) - (instantOf(b.metadata.creationTimestamp) ?? 0);
  if (difference !== 0) return difference;
  const [left = "", right = ""] = [a.metadata.name, b.metadata.name];
  return left < right ? -1 : left > right ? 1 : 0;
}
