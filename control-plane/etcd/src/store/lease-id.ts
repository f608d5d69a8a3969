import type { LeaseId } from "./store.ts";

/** A lease's 64 bits as the port has them: a number where that is exact. */
export function leaseIdFrom(id: bigint): LeaseId {
  const number = Number(id);
  return Number.isSafeInteger(number) ? number : id;
}
