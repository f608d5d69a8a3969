import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { writeYaml } from "./write-yaml.ts";
import { parseYamlDocument } from "./yaml.ts";

describe("YAML as it is written", () => {
  it.each<[value: unknown, text: string]>([
    [{ kind: "List", items: [{ b: "1e3", a: 1 }] }, 'items:\n- a: 1\n  b: "1e3"\nkind: List\n'],
    [{ a: [], b: {}, c: null, d: true, e: -1.5 }, "a: []\nb: {}\nc: null\nd: true\ne: -1.5\n"],
    [{ a: [[1, 2], [{ b: ["c"] }]] }, "a:\n- - 1\n  - 2\n- - b:\n    - c\n"],
    [{ a: { b: { c: "d e" } } }, "a:\n  b:\n    c: d e\n"],
    [{ a: "x\n y\n", b: ["x\ny"] }, "a: |\n  x\n   y\nb:\n- |-\n  x\n  y\n"],
    [{ a: "yes", b: "2001-01-01", c: "12:30", d: "" }, 'a: "yes"\nb: "2001-01-01"\nc: "12:30"\nd: ""\n'],
    [{ a: "b: c", d: "e #f", g: "it's: x", h: "- i" }, "a: 'b: c'\nd: 'e #f'\ng: 'it''s: x'\nh: '- i'\n"],
    [{ "f:a": {}, 'k:{"b":"c"}': {}, ".": {} }, '.: {}\nf:a: {}\nk:{"b":"c"}: {}\n'],
    [{ [`a${"b".repeat(128)}`]: [1] }, `? a${"b".repeat(128)}\n:\n- 1\n`],
    ["a", "a\n"],
    [[], "[]\n"],
  ])("%j", (value, text) => {
    expect(writeYaml(value)).toBe(text);
  });

  it("reads back as what it was, by any reader", async () => {
    const random = createSeededRandom(7);
    const characters = Array.from("ab01 :#-?,[]{}'\"|>&*!%@`~.\\/=_yn\n\t\u0000\u0085\u2028\ufeffé😀\ud800+e");
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
    const words = ["", "y", "null", "~", "0x1F", "0o17", "1_0", ".5", "-", "---", "...", "<<", "=", "1.", "+1", ".inf"];
    // A lone point is text; only the library, which reads what is rare, takes it for a number.
    const text = (): string => anyText().replace(/^\.$/, "..");
    const anyText = (): string =>
      random.next() < 0.2
        ? pick(words)
        : Array.from({ length: Math.floor(random.next() * 9) }, () => pick(characters)).join("");
    const value = (depth: number): unknown => {
      const chance = random.next();
      if (depth > 3 || chance < 0.4) return chance < 0.3 ? text() : pick([1, -1.5, 0, 1e300, true, false, null]);
      const length = Math.floor(random.next() * 4);
      if (chance < 0.75) return Object.fromEntries(Array.from({ length }, () => [text(), value(depth + 1)]));
      return Array.from({ length }, () => value(depth + 1));
    };
    for (let i = 0; i < 1000; i++) {
      const object = { a: value(0), b: [value(1)] };
      const written = writeYaml(object);
      expect(await parseYamlDocument(written), written).toEqual(object);
      expect(parse(written), written).toEqual(object);
    }
  });

  // Were it written in more than linear time, minutes would not be enough.
  it.each<[name: string, value: unknown]>([
    ["members", Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`key-${i}`, "value"]))],
    ["items", Array.from({ length: 200_000 }, (_, i) => ({ name: `a-${i}`, labels: { b: "yes" } }))],
    ["one text", "a b\n".repeat(1_000_000)],
    ["spaces", " ".repeat(3_000_000)],
    ["commas", ",".repeat(3_000_000)],
    ["commas and spaces", ", ".repeat(1_500_000)],
    ["quotes", "'".repeat(3_000_000)],
    ["digits", "1".repeat(3_000_000)],
    ["sexagesimals", "1:".repeat(1_500_000)],
    ["line breaks", `a${"\n".repeat(3_000_000)}b`],
    ["spaces at ends", "a  \n".repeat(700_000)],
  ])("writes 3 MB of %s in its stride", (_name, value) => {
    expect(() => writeYaml(value)).not.toThrow();
  });
});
