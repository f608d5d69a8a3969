import { createFakeClock, silentLogger, systemClock } from "@coracle/base";
import { describe } from "vitest";
import { storeContract } from "../src/contract/store-contract.ts";
import { createMemoryStore, createRemoteStore, startEtcdServer } from "../src/index.ts";

// Both ends of the wire are ours here; etcd.test.ts has our client with etcd's server, clients.test.ts etcd's clients with our server.
describe("served over gRPC", () => {
  storeContract("remote, on our own server", async () => {
    const clock = createFakeClock();
    const inner = createMemoryStore({ clock });
    const server = await startEtcdServer({
      store: inner,
      clock: systemClock,
      logger: silentLogger,
      name: "default",
      listenClientUrls: [new URL("http://127.0.0.1:0")],
      advertiseClientUrls: [],
      advertisePeerUrls: [],
      maxRequestBytes: 1_572_864,
      quotaBytes: Infinity,
      watchProgressMs: 600_000,
    });
    const store = createRemoteStore({ endpoints: [`http://127.0.0.1:${server.ports[0]}`], clock: systemClock });
    const close = store[Symbol.asyncDispose].bind(store);
    store[Symbol.asyncDispose] = async () => {
      await close();
      await server[Symbol.asyncDispose]();
      await inner[Symbol.asyncDispose]();
    };
    return { store, clock };
  });
});
