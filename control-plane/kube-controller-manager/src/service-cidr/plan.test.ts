import type { IPAddress, ServiceCIDR } from "@coracle/api/networking/v1";
import { describe, expect, it } from "vitest";
import { ALLOCATOR, cidrsWith, MANAGED_BY, mayGo, overlaps } from "./plan.ts";

const cidr = (name: string, ...cidrs: string[]): ServiceCIDR => ({ metadata: { name }, spec: { cidrs } });
const address = (name: string, manager = ALLOCATOR): IPAddress => ({
  metadata: { name, labels: { [MANAGED_BY]: manager } },
  spec: { parentRef: { resource: "services", namespace: "default", name: "a" } },
});

describe("a ServiceCIDR that is deleted", () => {
  const gone = cidr("gone", "192.168.0.0/24");
  it.each<[string, boolean, ServiceCIDR[], IPAddress[]]>([
    ["goes when nothing has an address of it", true, [], [address("10.0.0.1")]],
    ["stays while a Service has one", false, [], [address("192.168.0.5")]],
    ["does not care for addresses that others manage", true, [], [address("192.168.0.5", "me")]],
    ["goes when another is the same", true, [cidr("same", "192.168.0.0/24")], [address("192.168.0.5")]],
    ["goes when another is larger", true, [cidr("large", "192.168.0.0/16")], [address("192.168.0.5")]],
    ["goes when a smaller one holds all addresses", true, [cidr("small", "192.168.0.0/28")], [address("192.168.0.5")]],
    ["stays when a smaller one does not", false, [cidr("small", "192.168.0.0/28")], [address("192.168.0.77")]],
    [
      "knows that the first of another is none of its own",
      false,
      [cidr("x", "192.168.0.4/30")],
      [address("192.168.0.4")],
    ],
    [
      "knows that the last of another is none of its own",
      false,
      [cidr("x", "192.168.0.4/30")],
      [address("192.168.0.7")],
    ],
  ])("%s", (_rule, goes, others, addresses) => expect(mayGo(gone, [gone, ...others], addresses)).toBe(goes));

  it("of two families goes when both are held", () => {
    const both = cidr("both", "192.168.0.0/24", "fd00::/112");
    const four = cidr("four", "192.168.0.0/16");
    const six = cidr("six", "fd00::/64");
    expect(mayGo(both, [both, four], [address("fd00::5")])).toBe(false);
    expect(mayGo(both, [both, four, six], [address("fd00::5"), address("192.168.0.9")])).toBe(true);
  });
});

describe("blocks", () => {
  it("of IPv6 have their last address", () => {
    expect(cidrsWith("fd00::ffff", [cidr("a", "fd00::/112")])).toEqual(["a"]);
    expect(cidrsWith("fd00::", [cidr("a", "fd00::/112")])).toEqual([]);
  });
  it("overlap when one holds the other", () => {
    expect(overlaps(cidr("a", "10.0.0.0/8"), cidr("b", "fd00::/112", "10.9.0.0/16"))).toBe(true);
    expect(overlaps(cidr("a", "10.0.0.0/16"), cidr("b", "10.1.0.0/16"))).toBe(false);
  });
});
