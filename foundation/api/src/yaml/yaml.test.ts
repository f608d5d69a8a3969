import { describe, expect, it } from "vitest";
import { parseYaml, parseYamlDocument, YamlError } from "./yaml.ts";

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

  it.each([
    ['{"a":"b",c":{"d":1}}', "did not find expected ',' or '}'"],
    ["{a: b [1]}", "did not find expected ',' or '}'"],
    ['{"a":"b",:"c":{}}', "did not find expected node content"],
  ])("%s is none: %s", async (text, why) => {
    await expect(parseYaml(text)).rejects.toThrow(why);
    await expect(parseYaml(text)).rejects.toThrow(YamlError);
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
});
