import { describe, expect, it } from "vitest";
import { CidrSet, formatCidr, parseCidr } from "./cidr-set.ts";

function setOf(range: string, prefix: number): CidrSet {
  const cidr = parseCidr(range);
  if (cidr === undefined) throw new Error(range);
  return new CidrSet(cidr, prefix);
}

describe("CIDRs", () => {
  it.each(["10.244.0.0/16", "192.168.1.0/24", "fd00:10:244::/56", "2001:db8:0:0:1::/80", "::/0"])(
    "%s is written as it was read",
    (text) => expect(formatCidr(parseCidr(text) ?? { isIpv6: false, base: 0n, prefix: 0 })).toBe(text),
  );

  it.each(["10.0.0.0", "10.0.0/8", "10.0.0.256/8", "10.0.0.0/33", "fd00::/129", "fd00::1::/64", "x/8"])(
    "%s is none",
    (text) => expect(parseCidr(text)).toBeUndefined(),
  );
});

describe("CidrSet", () => {
  it("hands out each range once, in order, until none is left", () => {
    const set = setOf("10.244.0.0/22", 24);
    expect([set.allocate(), set.allocate(), set.allocate(), set.allocate(), set.allocate()]).toEqual([
      "10.244.0.0/24",
      "10.244.1.0/24",
      "10.244.2.0/24",
      "10.244.3.0/24",
      undefined,
    ]);
  });

  it("skips what is in use and takes back what was released", () => {
    const set = setOf("10.244.0.0/23", 24);
    set.occupy("10.244.0.0/24");
    expect(set.allocate()).toBe("10.244.1.0/24");
    expect(set.allocate()).toBeUndefined();
    set.release("10.244.0.0/24");
    expect(set.allocate()).toBe("10.244.0.0/24");
  });

  it("leaves out what a wider range covers", () => {
    const set = setOf("10.96.0.0/14", 16);
    set.occupy("10.96.0.0/15");
    expect(set.allocate()).toBe("10.98.0.0/16");
  });
});
