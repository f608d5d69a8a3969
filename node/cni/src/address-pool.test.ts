import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AddressPool, formatIpv4, parseRange } from "./address-pool.ts";

describe("the address pool", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "pool-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("gives neither the network's, the gateway's nor the broadcast address", async () => {
    const pool = await AddressPool.open(folder, parseRange("10.1.2.0/29"));
    const given = [];
    for (let i = 0; i < 5; i++) given.push(formatIpv4(await pool.take(`p${i}`)));
    expect(given).toEqual(["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    await expect(pool.take("p9")).rejects.toThrow("no IP addresses available in range set: 10.1.2.2-10.1.2.6");
  });

  it("lets a returned address rest until the others were used", async () => {
    const pool = await AddressPool.open(folder, parseRange("10.1.2.0/29"));
    await pool.take("a");
    await pool.release("a");
    expect(formatIpv4(await pool.take("b"))).toBe("10.1.2.3");
  });

  it("remembers across restarts, and the same owner gets the same address", async () => {
    const range = parseRange("10.1.2.0/24");
    const one = await (await AddressPool.open(folder, range)).take("a");
    const again = await AddressPool.open(folder, range);
    expect(await again.take("a")).toBe(one);
    expect(await again.take("b")).toBe(one + 1);
    await again.release("a");
    expect((await AddressPool.open(folder, range)).addressOf("a")).toBeUndefined();
  });

  it.each(["10.0.0.0", "10.0.0.0/31", "10.0.0/8", "10.0.0.256/24", "x/24"])("refuses %s", (cidr) => {
    expect(() => parseRange(cidr)).toThrow(/invalid/);
  });
});
