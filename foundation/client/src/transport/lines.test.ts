import { describe, expect, it } from "vitest";
import { lines } from "./lines.ts";

describe("lines", () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ["one chunk, many lines", ["a\nb\nc\n"], ["a", "b", "c"]],
    ["a line over several chunks", ["a", "b", "c\nd\n"], ["abc", "d"]],
    ["the newline comes alone", ["a", "\n", "b\n"], ["a", "b"]],
    ["the last line needs no newline", ["a\nb"], ["a", "b"]],
    ["empty lines are skipped", ["\n\na\n"], ["a"]],
  ])("%s", async (_, chunks, expected) => {
    const got: string[] = [];
    async function* stream(): AsyncGenerator<Buffer> {
      for (const chunk of chunks) yield Buffer.from(chunk);
    }
    for await (const line of lines(stream())) got.push(line);
    expect(got).toEqual(expected);
  });

  it("a character split between chunks stays whole", async () => {
    const bytes = Buffer.from("ä\n");
    async function* stream(): AsyncGenerator<Buffer> {
      yield bytes.subarray(0, 1);
      yield bytes.subarray(1);
    }
    const got: string[] = [];
    for await (const line of lines(stream())) got.push(line);
    expect(got).toEqual(["ä"]);
  });
});
