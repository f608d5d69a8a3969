import type { ResourceClaim } from "@coracle/api/resource/v1";
import type { DevicesInUse } from "./allocator-options.ts";
import { capacitiesOf, sumCapacities, type Capacities } from "./consumed-capacity.ts";
import { deviceId } from "./resource-pools.ts";

/** Which devices a set of claims has. Claims come and go; several may have the same device for a moment. */
export class AllocatedDevices implements DevicesInUse {
  readonly #exclusive = new Map<string, number>();
  /** Shares by device and name of the share. */
  readonly #shared = new Map<string, Map<string, Capacities>>();
  readonly exclusive = { has: (id: string): boolean => this.#exclusive.has(id) };
  readonly shared = {
    has: (id: string): boolean => this.#shared.has(id),
    get: (id: string): Capacities | undefined => {
      const shares = this.#shared.get(id);
      return shares === undefined ? undefined : [...shares.values()].reduce(sumCapacities);
    },
  };

  add(claim: ResourceClaim): void {
    this.#each(claim, (id, share) => {
      if (share === undefined) return void this.#exclusive.set(id, (this.#exclusive.get(id) ?? 0) + 1);
      let shares = this.#shared.get(id);
      if (shares === undefined) this.#shared.set(id, (shares = new Map()));
      shares.set(share.id, share.consumed);
    });
  }

  remove(claim: ResourceClaim): void {
    this.#each(claim, (id, share) => {
      if (share === undefined) {
        const count = (this.#exclusive.get(id) ?? 0) - 1;
        if (count > 0) this.#exclusive.set(id, count);
        else this.#exclusive.delete(id);
        return;
      }
      const shares = this.#shared.get(id);
      shares?.delete(share.id);
      if (shares?.size === 0) this.#shared.delete(id);
    });
  }

  #each(
    { status }: ResourceClaim,
    visit: (id: string, share: { readonly id: string; readonly consumed: Capacities } | undefined) => void,
  ): void {
    for (const result of status?.allocation?.devices?.results ?? []) {
      // Who looks after a device does not keep it from others.
      if (result.adminAccess === true) continue;
      const { shareID, consumedCapacity = {} } = result;
      const share = shareID === undefined ? undefined : { id: shareID, consumed: capacitiesOf(consumedCapacity) };
      visit(deviceId(result.driver, result.pool, result.device), share);
    }
  }
}

/** Devices that are in use by either. */
export function bothInUse(a: DevicesInUse, b: DevicesInUse): DevicesInUse {
  return {
    exclusive: { has: (id) => a.exclusive.has(id) || b.exclusive.has(id) },
    shared: {
      has: (id) => a.shared.has(id) || b.shared.has(id),
      get: (id) => {
        const [one, other] = [a.shared.get(id), b.shared.get(id)];
        return one === undefined || other === undefined ? (one ?? other) : sumCapacities(one, other);
      },
    },
  };
}
