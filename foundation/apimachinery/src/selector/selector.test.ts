import { describe, expect, it } from "vitest";
import { scaledValue } from "../quantity/int-or-string.ts";
import { checkFieldLabels, parseFieldSelector } from "./field-selector.ts";
import {
  compileLabelSelector,
  parseLabelSelector,
  selectorFromLabels,
  validateLabelSelector,
} from "./label-selector.ts";

describe("label selectors", () => {
  const labels = { app: "web", tier: "front", n: "5", empty: "" };
  it.each([
    ["", true, ""],
    ["app=web", true, "app=web"],
    ["app==web,tier!=back", true, "app==web,tier!=back"],
    ["tier in (b, front),app", true, "app,tier in (b,front)"],
    ["app notin (web)", false, "app notin (web)"],
    ["missing notin (x)", true, "missing notin (x)"],
    ["!app", false, "!app"],
    ["!missing", true, "!missing"],
    ["n>4,n<6", true, "n>4,n<6"],
    ["n>5", false, "n>5"],
    ["empty=", true, "empty="],
    ["missing=", false, "missing="],
    [" app = web ", true, "app=web"],
    ["constructor", false, "constructor"],
    ["empty in ()", true, "empty in ()"],
  ])("%j: %s, canonically %j", (text, matches, canonical) => {
    const selector = parseLabelSelector(text);
    expect(selector.matches(labels)).toBe(matches);
    expect(String(selector)).toBe(canonical);
  });

  it.each(["a,", "=a", "a in b", "a in (b", "a b", "a/b/c=d", "a=b c", "a>x", "a=!", "(", "a=b=c", "!", "a=-"])(
    "%j is refused with 400",
    (text) => {
      expect(() => parseLabelSelector(text)).toThrow(expect.objectContaining({ code: 400 }));
    },
  );

  it("throws nothing but 400 on random text", () => {
    const letters = "a1=!,()<> in notin/.-";
    let seed = 7;
    for (let round = 0; round < 5000; round++) {
      let text = "";
      for (let i = 0; i < 12; i++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        text += letters[(seed >>> 16) % letters.length];
      }
      try {
        parseLabelSelector(text);
      } catch (error) {
        expect(error).toMatchObject({ code: 400 });
      }
    }
  });

  it("an absent LabelSelector selects nothing, an empty one everything", () => {
    expect(compileLabelSelector(undefined).matches(labels)).toBe(false);
    expect(compileLabelSelector({}).matches(labels)).toBe(true);
    const selector = compileLabelSelector({
      matchLabels: { tier: "front" },
      matchExpressions: [{ key: "app", operator: "In", values: ["web", "api"] }],
    });
    expect(selector.matches(labels)).toBe(true);
    expect(String(selector)).toBe("app in (api,web),tier=front");
    expect(String(selectorFromLabels({ b: "2", a: "1" }))).toBe("a=1,b=2");
  });

  it("says what is wrong with a LabelSelector", () => {
    const errors = validateLabelSelector(
      {
        matchLabels: { "a b": "c" },
        matchExpressions: [
          { key: "a", operator: "In" },
          { key: "b", operator: "Is" },
        ],
      },
      "spec.selector",
    );
    expect(errors.map((error) => error.field)).toEqual([
      "spec.selector.matchLabels",
      "spec.selector.matchExpressions[0].values",
      "spec.selector.matchExpressions[1].operator",
    ]);
  });
});

describe("field selectors", () => {
  const read = (field: string): string => ({ "metadata.name": "a", "spec.x": "p,q=r" })[field] ?? "";
  it.each([
    ["", true],
    ["metadata.name=a", true],
    ["metadata.name==a,spec.y!=b", true],
    ["metadata.name!=a", false],
    ["spec.x=p\\,q\\=r", true],
    ["spec.y=", true],
  ])("%j: %s", (text, matches) => {
    expect(parseFieldSelector(text).matches(read)).toBe(matches);
  });
  it.each(["metadata.name", "a=b=c", "a=b\\x"])("%j is refused", (text) => {
    expect(() => parseFieldSelector(text)).toThrow(expect.objectContaining({ code: 400 }));
  });
  it("refuses fields that cannot be selected by", () => {
    expect(() => checkFieldLabels(parseFieldSelector("spec.foo=1"), () => false)).toThrow(
      "field label not supported: spec.foo",
    );
    expect(String(parseFieldSelector("spec.x=p\\,q"))).toBe("spec.x=p\\,q");
  });
});

describe("int or percentage", () => {
  it.each([
    [3, 10, true, 3],
    ["25%", 10, true, 3],
    ["25%", 10, false, 2],
    ["100%", 7, false, 7],
  ])("%s of %d", (value, total, up, result) => {
    expect(scaledValue(value, total, up)).toBe(result);
  });
  it("refuses other text", () => {
    expect(() => scaledValue("5", 1, true)).toThrow("string is not a percentage");
  });
});
