import { describe, expect, it } from "vitest";
import { parseYaml, parseYamlDocument, stringifyYaml, YamlError } from "./yaml.ts";

describe("YAML as kubectl reads it", () => {
  it.each([
    ["yes", true],
    ["on", true],
    ["y", true],
    ["n", false],
    ["017", 15],
    ["0o17", 15],
    ["1_000", 1000],
    ["0b11", 3],
    ["0x1F", 31],
    ["12:30:45", "12:30:45"],
    ["2001-01-01", "2001-01-01"],
    ["2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"],
    ['"017"', "017"],
    ["1.5", 1.5],
    ["1e3", 1000],
    ["100m", "100m"],
    ["~", null],
    ["", null],
  ])("%s is %j", async (text, value) => {
    expect(await parseYamlDocument(`a: ${text}`)).toEqual({ a: value });
  });

  it("names are text, the last duplicate counts, merges apply", async () => {
    expect(await parseYamlDocument("y: 1\n2: b\nc: 1\nc: 2")).toEqual({ true: 1, "2": "b", c: 2 });
    expect(await parseYamlDocument("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2")).toEqual({ a: { b: 1 }, c: { b: 1, d: 2 } });
  });

  it("reads several documents, leaves empty ones out", async () => {
    expect(await parseYaml("---\na: 1\n---\n# nothing\n---\nb: 2\n")).toEqual([{ a: 1 }, { b: 2 }]);
    expect(await parseYaml('{"a":1}')).toEqual([{ a: 1 }]);
  });

  it("refuses what is no YAML, and alias bombs", async () => {
    await expect(parseYaml("a: [1")).rejects.toThrow(YamlError);
    const bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"];
    for (let i = 1; i < 9; i++)
      bomb.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(",")}]`,
      );
    await expect(parseYaml(bomb.join("\n"))).rejects.toThrow(YamlError);
  });

  it("is written with members in order and lists at the level of their name", async () => {
    expect(await stringifyYaml({ kind: "List", items: [{ b: "1e3", a: 1 }] })).toBe(
      'items:\n- a: 1\n  b: "1e3"\nkind: List\n',
    );
  });

  it("writes text that reads back as text", async () => {
    const value = { a: "yes", b: "017", c: "1e3", d: ["x"] };
    expect(await parseYamlDocument(await stringifyYaml(value))).toEqual(value);
  });
});
