import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { readQuickYaml } from "./quick-yaml.ts";
import { parseYaml, parseYamlDocument, yamlDuplicates } from "./yaml.ts";

const MEGABYTE = 1024 * 1024;
const many = (length: number, part: (i: number) => string): string => {
  const parts: string[] = [];
  for (let i = 0, size = 0; size < length; i++) {
    const text = part(i);
    parts.push(text);
    size += text.length;
  }
  return parts.join("");
};

describe("the quick reader of YAML", () => {
  it.each<[name: string, text: string, value: unknown]>([
    ["lists at the level of their name", "a:\n- 1\n- b: 2\n  c: 3\nd: 4", { a: [1, { b: 2, c: 3 }], d: 4 }],
    ["lists in lists", "- - 1\n  - 2\n-\n  - 3\n- a:\n  - 4", [[1, 2], [3], { a: [4] }]],
    ["members without a value", "a:\nb: # none\nc: ~\n", { a: null, b: null, c: null }],
    ["comments", "# one\na: 1 # two\n  # three\nb: x#y\nc: 'x # y'", { a: 1, b: "x#y", c: "x # y" }],
    ["plain text over several lines", "a: one\n  two\n\n  three\nb: 1", { a: "one two\nthree", b: 1 }],
    ["quoted text over several lines", 'a: "one\n  two \\\n  three\n\n  four"', { a: "one two three\nfour" }],
    ["escapes", String.raw`a: "\x41\u00e9\U0001F600\t\"\\\/"`, { a: 'Aé😀\t"\\/' }],
    ["single quotes", "a: 'it''s'", { a: "it's" }],
    [
      "literal blocks",
      "a: |\n  x\n   y\n\n  z\n\nb: |-\n  x\n\nc: |+\n  x\n\nd: 1",
      { a: "x\n y\n\nz\n", b: "x", c: "x\n\n", d: 1 },
    ],
    ["a block's indentation by number", "a: |2\n    x\n  y\n", { a: "  x\ny\n" }],
    ["a block at the text's end", "a: |\n  x", { a: "x" }],
    ["folded blocks", "a: >\n  x\n  y\n\n  z\n    w\n  v\n", { a: "x y\nz\n  w\nv\n" }],
    [
      "brackets",
      "a: {b: [1, 'x', \"y\", {c: d}, ], e: }\nf: [\n  1, # one\n  2\n]",
      { a: { b: [1, "x", "y", { c: "d" }], e: null }, f: [1, 2] },
    ],
    ["JSON", '{"a":{"b":[1,true,null,"x\\n"]},"c":-1.5e3}', { a: { b: [1, true, null, "x\n"] }, c: -1500 }],
    ["names in quotes", "'a b': 1\n\"c: d\": 2\n", { "a b": 1, "c: d": 2 }],
    [
      "addresses",
      "a: http://x:80/y\nb: 10.0.0.1:80\nc: --flag=1\nd: -1x",
      { a: "http://x:80/y", b: "10.0.0.1:80", c: "--flag=1", d: "-1x" },
    ],
    [
      "numbers that are none",
      "a: 1e999\nb: 09x\nc: 0x\nd: 1.2.3\ne: 100m",
      { a: "1e999", b: "09x", c: "0x", d: "1.2.3", e: "100m" },
    ],
    ["numbers of other bases", "a: 0B11\nb: -0x1F\nc: 08\nd: +.5", { a: 3, b: -31, c: 8, d: 0.5 }],
    ["lines that end otherwise", "a: 1\r\nb: |\r\n  x\r\n", { a: 1, b: "x\n" }],
    ["a document's start", "---\na: 1\n", { a: 1 }],
    ["names of prototypes", "__proto__: {a: 1}\nconstructor: 2", JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
  ])("reads %s", (_name, text, value) => {
    expect(readQuickYaml(text)?.value).toEqual(value);
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });

  it.each([
    ["anchors", "a: &x 1\nb: *x"],
    ["tags", "a: !!str 1"],
    ["merges", "<<: {a: 1}"],
    ["names that are no scalars", "? [a]\n: b"],
    ["several documents", "a: 1\n---\nb: 2"],
    ["directives", "%YAML 1.1\n---\na: 1"],
    ["tabs as indentation", "a:\n\tb: 1"],
    ["brackets left open", "a: [1, 2"],
    ["quotes left open", 'a: "1'],
    ["members in values", "a: b: c"],
    ["lines out of line", "a: 1\n  b: 2"],
    ["control characters", "a: \u0001"],
    ["infinity", "a: .inf"],
  ])("leaves %s to the whole parser", (_name, text) => {
    expect(readQuickYaml(text)).toBeUndefined();
  });

  it("reads what is printed, in any style", () => {
    const random = createSeededRandom(5);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
    const texts = [
      "a",
      "yes",
      "017",
      "1e3",
      "a: b",
      "a #b",
      "# x",
      "x\ny",
      "x\n\n  y\nz\n",
      "  lead",
      "trail ",
      "",
      "it's",
      '"',
      "-",
      "- a",
      "?",
      ":",
      "{",
      "*z",
      "&w",
      "|",
      "é☃",
      "...",
    ] as const;
    const value = (depth: number): unknown => {
      const chance = random.next();
      if (depth > 3 || chance < 0.5) return chance < 0.35 ? pick(texts) : pick([1, -1.5, 0, true, false, null]);
      const length = Math.floor(random.next() * 4);
      if (chance < 0.75) return Object.fromEntries(Array.from({ length }, () => [pick(texts), value(depth + 1)]));
      return Array.from({ length }, () => value(depth + 1));
    };
    let left = 0;
    for (let i = 0; i < 500; i++) {
      const object = { member: value(0), other: value(1) };
      const printed = stringify(object, {
        version: "1.1",
        lineWidth: pick([0, 20, 80]),
        indentSeq: pick([true, false]),
        collectionStyle: pick(["any", "any", "flow"]),
        defaultStringType: pick(["PLAIN", "QUOTE_SINGLE", "QUOTE_DOUBLE", "BLOCK_LITERAL"]),
        aliasDuplicateObjects: false,
      });
      const read = readQuickYaml(printed);
      if (read === undefined) left++;
      else expect(read.value, printed).toEqual(object);
    }
    // Plain text over several lines in brackets is for the whole parser.
    expect(left).toBeLessThan(100);
  });

  it("names what is repeated, with its line", async () => {
    const text = "a: 1\nb:\n  c: 1\n  c: 2\n# x\na: 3\n";
    expect(readQuickYaml(text)).toEqual({
      value: { a: 3, b: { c: 2 } },
      repeated: [
        { line: 4, key: "c" },
        { line: 6, key: "a" },
      ],
    });
    expect(await yamlDuplicates(text)).toBe(
      'yaml: unmarshal errors:\n  line 4: key "c" already set in map\n  line 6: key "a" already set in map',
    );
  });

  // Were any of them read in more than linear time, minutes would not be enough.
  it.each<[name: string, text: string]>([
    ["members", many(3 * MEGABYTE, (i) => `key-${i}: value\n`)],
    ["repeated members", "a: 1\n".repeat(600_000)],
    ["escapes", `a: "${"\\n".repeat(1_500_000)}"`],
    ["line breaks in quotes", `a: "${"x\n".repeat(1_500_000)}"`],
    ["spaces in quotes", `a: "${" ".repeat(3_000_000)}"`],
    ["dashes", "- ".repeat(1_500_000)],
    ["brackets", "[".repeat(3_000_000)],
    ["braces", "{a: ".repeat(700_000)],
    ["quotes", '"'.repeat(3_000_000)],
    ["colons", ": ".repeat(1_500_000)],
    ["digits", `a: ${"9".repeat(3_000_000)}`],
    ["blank lines of a block", `a: |\n${"\n".repeat(3_000_000)}  x`],
  ])("takes 3 MB of %s in its stride", (_name, text) => {
    expect(() => readQuickYaml(text)).not.toThrow();
  });
});

describe("texts with rare parts", () => {
  it("are refused when they are long, if so asked", async () => {
    const text = `a: &x 1\n${"b: *x\n".repeat(100)}`;
    expect(await parseYamlDocument(text)).toEqual({ a: 1, b: 1 });
    await expect(parseYaml(text, { longestRare: 100 })).rejects.toThrow(/a text of more than 100 characters/);
    expect(await yamlDuplicates(text, { longestRare: 100 })).toBeUndefined();
  });
});
