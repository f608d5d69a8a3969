import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { keyFromBytes, keyToBytes } from "./key-text.ts";

describe("keys of any bytes", () => {
  it.each([
    ["ASCII", "6162", "ab"],
    ["UTF-8", "c3a9f09f9880", "é😀"],
    ["a replacement character that is really there", "efbfbd", "\ufffd"],
    ["no UTF-8", "61ff80", "a\udcff\udc80"],
    ["cut short", "e282", "\udce2\udc82"],
    ["a surrogate, encoded", "eda080", "\udced\udca0\udc80"],
    ["an overlong zero", "c080", "\udcc0\udc80"],
    ["both", "efbfbdff", "\ufffd\udcff"],
  ])("%s", (_, hex, key) => {
    expect(keyFromBytes(Buffer.from(hex, "hex"))).toBe(key);
    expect(keyToBytes(key).toString("hex")).toBe(hex);
  });

  it("10,000 random keys come back as they were", () => {
    const random = createSeededRandom(1);
    for (let round = 0; round < 10_000; round++) {
      const bytes = Buffer.from(
        Array.from({ length: 1 + Math.floor(random.next() * 8) }, () => Math.floor(random.next() * 256)),
      );
      expect(keyToBytes(keyFromBytes(bytes)).equals(bytes)).toBe(true);
    }
  });
});
