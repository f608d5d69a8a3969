import { describe, expect, it } from "vitest";
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  QuantityError,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
} from "./quantity.ts";

describe("quantities", () => {
  it.each([
    ["0", "0"],
    ["0.5", "500m"],
    ["1000m", "1"],
    ["1024Mi", "1Gi"],
    ["1.5Gi", "1536Mi"],
    ["1000", "1k"],
    ["100", "100"],
    ["1e3", "1e3"],
    ["1E3", "1e3"],
    ["1E", "1E"],
    ["+1", "1"],
    ["-1", "-1"],
    [".5", "500m"],
    ["5.", "5"],
    ["0.1Ki", "102400m"],
    ["1023", "1023"],
    ["512Ki", "512Ki"],
    [".001Ki", "1024m"],
    [".000001Ki", "1024u"],
    ["0.0000000001", "1n"],
    ["10000000000000000000000", "9223372036854775807"],
    ["12345", "12345"],
    ["100e-3", "100e-3"],
    ["007", "7"],
  ])("%s is written %s", (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
    expect(canonicalQuantity(canonical)).toBe(canonical);
  });

  it.each(["", ".", "abc", "1 Gi", "1.5.2", "1Kib", "Ki", "1i", "1kk", "--1", "1e", "0x10"])(
    "%j is refused",
    (text) => {
      expect(() => parseQuantity(text)).toThrow(QuantityError);
    },
  );

  it("resource lists round up to thousandths", () => {
    expect(canonicalQuantity("1234u", true)).toBe("2m");
    expect(canonicalQuantity("1n", true)).toBe("1m");
  });

  it("adds and compares across formats, in the left side's format", () => {
    expect(formatQuantity(addQuantities(parseQuantity("1Gi"), parseQuantity("1")))).toBe("1073741825");
    expect(formatQuantity(subtractQuantities(parseQuantity("1"), parseQuantity("200m")))).toBe("800m");
    expect(formatQuantity(addQuantities(parseQuantity("0"), parseQuantity("1Gi")))).toBe("1Gi");
    expect(compareQuantities(parseQuantity("1Gi"), parseQuantity("1G"))).toBe(1);
    expect(compareQuantities(parseQuantity("1000m"), parseQuantity("1"))).toBe(0);
  });

  it.each([
    ["100m", 1, 100],
    ["2", 2, 2000],
    ["1Gi", 1073741824, 1073741824000],
    ["1500m", 2, 1500],
    ["1.5", 2, 1500],
    ["1u", 1, 1],
  ])("%s counts as %d whole, %d milli", (text, value, milli) => {
    expect(quantityValue(text)).toBe(value);
    expect(quantityMilliValue(text)).toBe(milli);
  });
});

describe("quantities with millions of digits", () => {
  const many = 2_500_000;
  it.each([
    ["1".repeat(many), parseQuantity("9e18").nano * 10n],
    [`0.${"0".repeat(many)}1`, 1n],
    [`1.${"0".repeat(many)}`, 1_000_000_000n],
    [`1.${"3".repeat(many)}`, 1_333_333_334n],
    [`${"0".repeat(many)}7`, 7_000_000_000n],
  ])("count as far as they can", (text, atMost) => {
    const { nano } = parseQuantity(text);
    expect(nano <= atMost).toBe(true);
    if (atMost < 10n ** 12n) expect(nano).toBe(atMost);
  });
});
