import type { LabelSelector } from "@coracle/api/meta/v1";
import { describe, expect, it } from "vitest";
import { labelMatcher } from "./label-selector.ts";

describe("label selector", () => {
  it.each<[string, LabelSelector | undefined, Record<string, string> | undefined, boolean]>([
    ["absent matches nothing", undefined, { a: "1" }, false],
    ["empty matches everything", {}, undefined, true],
    ["all labels must match", { matchLabels: { a: "1", b: "2" } }, { a: "1" }, false],
    ["In needs the key", { matchExpressions: [{ key: "a", operator: "In", values: ["1"] }] }, {}, false],
    ["NotIn accepts an absent key", { matchExpressions: [{ key: "a", operator: "NotIn", values: ["1"] }] }, {}, true],
    ["Exists", { matchExpressions: [{ key: "a", operator: "Exists" }] }, { a: "" }, true],
    ["DoesNotExist", { matchExpressions: [{ key: "a", operator: "DoesNotExist" }] }, { a: "" }, false],
    [
      "labels and expressions together",
      { matchLabels: { a: "1" }, matchExpressions: [{ key: "b", operator: "Exists" }] },
      { a: "1" },
      false,
    ],
  ])("%s", (_, selector, labels, expected) => {
    expect(labelMatcher(selector)(labels)).toBe(expected);
  });
});
