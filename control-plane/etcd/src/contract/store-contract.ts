import { createFakeClock, type FakeClock } from "@coracle/base";
import { describe } from "vitest";
import type { Store } from "../store/store.ts";
import { compactionContract } from "./compaction-contract.ts";
import { leaseContract } from "./lease-contract.ts";
import { readContract } from "./read-contract.ts";
import type { MakeStore, StoreUnderTest } from "./store-under-test.ts";
import { txnContract } from "./txn-contract.ts";
import { watchContract } from "./watch-contract.ts";

/** What every engine promises. `make` gives an empty store, which the suite disposes. */
export function storeContract(name: string, make: MakeStore): void {
  describe(`store contract: ${name}`, () => {
    for (const contract of [readContract, txnContract, watchContract, compactionContract, leaseContract])
      contract(make);
  });
}

/** A fake clock and a store that goes by it, for engines in this process. */
export async function withFakeClock(make: (clock: FakeClock) => Store | Promise<Store>): Promise<StoreUnderTest> {
  const clock = createFakeClock();
  return { store: await make(clock), clock };
}
