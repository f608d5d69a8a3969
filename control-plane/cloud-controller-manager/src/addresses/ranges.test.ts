import { describe, expect, it } from "vitest";
import { firstFree, holdsAddress, isWithin, parseRange } from "./ranges.ts";

const all = (text: string): string[] => {
  const found: string[] = [];
  for (let next; (next = firstFree([parseRange(text)], (each) => found.includes(each))) !== undefined;)
    found.push(next);
  return found;
};

describe("a pool of addresses", () => {
  it.each([
    ["one address", "192.168.1.7", ["192.168.1.7"]],
    [
      "from one to another",
      "192.168.1.254-192.168.2.1",
      ["192.168.1.254", "192.168.1.255", "192.168.2.0", "192.168.2.1"],
    ],
    ["a block, without the network's address and that of all", "192.168.1.8/30", ["192.168.1.9", "192.168.1.10"]],
    ["the smallest block", "192.168.1.8/32", ["192.168.1.8"]],
  ])("%s", (_what, text, addresses) => {
    expect(all(text)).toEqual(addresses);
  });
  it.each(["", "x", "192.168.1.9-192.168.1.1", "192.168.1.1-fd00::1", "1.1.1.1-1.1.1.2-1.1.1.3", "192.168.1.0/33"])(
    "%j is none",
    (text) => {
      expect(() => parseRange(text)).toThrow("is no range of addresses");
    },
  );
  it("holds what is in it", () => {
    const pool = [parseRange("192.168.1.8-192.168.1.9")];
    expect(["192.168.1.7", "192.168.1.9", "fd00::1", "x"].map((each) => holdsAddress(pool, each))).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});

describe("a block within another", () => {
  it.each([
    ["10.244.3.0/24", "10.244.0.0/16", true],
    ["10.245.3.0/24", "10.244.0.0/16", false],
    ["fd00::/64", "10.244.0.0/16", false],
    ["x", "10.244.0.0/16", false],
  ])("%s in %s: %s", (cidr, range, expected) => expect(isWithin(cidr, range)).toBe(expected));
});
