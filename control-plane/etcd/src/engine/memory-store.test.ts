import { storeContract, withFakeClock } from "../contract/store-contract.ts";
import { createMemoryStore } from "./memory-store.ts";

storeContract("memory", () => withFakeClock((clock) => createMemoryStore({ clock })));
