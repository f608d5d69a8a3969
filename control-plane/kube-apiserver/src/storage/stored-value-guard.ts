import { internalError, type StatusError } from "@coracle/apimachinery";

/** Knows what the store holds that cannot be read, and what would be written otherwise today. */
export interface StoredValueGuard {
  /** False: all that is stored can be read. */
  readonly hasFailures: boolean;
  /** Why the value of this key cannot be read; undefined when it can. */
  failureOf(key: string): string | undefined;
  /** One of those that cannot be read, of the keys from `first` to before `end`. */
  failureWithin(first: string, end: string): { readonly key: string; readonly message: string } | undefined;
  /** The value was not stored in the way that is in force now. */
  isStale(key: string): boolean;
}

/** Throws when one of a range's values cannot be read: a list without it would be a lie. */
export function refuseUnreadable(guard: StoredValueGuard | undefined, first: string, end: string): void {
  if (guard?.hasFailures !== true) return;
  const found = guard.failureWithin(first, end);
  if (found !== undefined) throw unreadable(`unable to transform key ${JSON.stringify(found.key)}: ${found.message}`);
}

/** What is said of a value that cannot be read. */
export function unreadable(message: string): StatusError {
  return internalError(message, { cause: new Error(message) });
}
