import type { ResourceClaim } from "@coracle/api/resource/v1";
import { AllocatedDevices } from "./devices-in-use.ts";
import type { DevicesInUse } from "./allocator-options.ts";

interface Pending {
  readonly claim: ResourceClaim;
  /** As the API server answered; absent: not written yet. */
  written?: ResourceClaim;
}

/** Allocations of our own that the cache of claims does not show yet. */
export class PendingClaims {
  readonly #cached: (namespace: string, name: string) => ResourceClaim | undefined;
  readonly #pending = new Map<string, Pending>();
  readonly #devices = new AllocatedDevices();

  constructor(cached: (namespace: string, name: string) => ResourceClaim | undefined) {
    this.#cached = cached;
  }

  get devices(): DevicesInUse {
    for (const [uid, { claim, written }] of this.#pending) {
      if (written === undefined) continue;
      const { namespace = "", name = "" } = claim.metadata;
      const cached = this.#cached(namespace, name);
      // Once the cache has seen what was written, it alone knows what has become of it.
      if (cached?.metadata.uid !== uid || !isOlder(cached, written)) this.drop(uid);
    }
    return this.#devices;
  }

  /** The claim as it is: what was written counts until the cache has it. */
  current(namespace: string, name: string): ResourceClaim | undefined {
    const cached = this.#cached(namespace, name);
    const written = this.#pending.get(cached?.metadata.uid ?? "")?.written;
    return cached !== undefined && written !== undefined && isOlder(cached, written) ? written : cached;
  }

  /** Not written yet: nobody else may decide on it. */
  isPending(claim: ResourceClaim): boolean {
    const pending = this.#pending.get(claim.metadata.uid ?? "");
    return pending !== undefined && pending.written === undefined;
  }

  /** `claim` has its allocation as decided. */
  add(claim: ResourceClaim): void {
    const uid = claim.metadata.uid ?? "";
    this.drop(uid);
    this.#pending.set(uid, { claim });
    this.#devices.add(claim);
  }

  written(claim: ResourceClaim): void {
    const pending = this.#pending.get(claim.metadata.uid ?? "");
    if (pending !== undefined) pending.written = claim;
  }

  drop(uid: string): void {
    const pending = this.#pending.get(uid);
    if (pending === undefined) return;
    this.#pending.delete(uid);
    this.#devices.remove(pending.claim);
  }
}

function isOlder(a: ResourceClaim, b: ResourceClaim): boolean {
  return BigInt(a.metadata.resourceVersion ?? "0") < BigInt(b.metadata.resourceVersion ?? "0");
}
