import { createSeededRandom, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createForwarder } from "./forwarder.ts";

const QUERY = Buffer.from("00010100000100000000000001610000010001", "hex");

describe("a forwarder", () => {
  it("gives up on a server that the kernel knows no way to", async () => {
    // The broadcast address is refused at once, as any address is on a machine without routes.
    const servers = ["255.255.255.255"];
    const forwarder = createForwarder({ servers, clock: systemClock, random: createSeededRandom(1), timeoutMs: 200 });
    expect(await forwarder.forward(QUERY, false)).toBeUndefined();
    expect(await forwarder.forward(QUERY, true)).toBeUndefined();
  });
});
