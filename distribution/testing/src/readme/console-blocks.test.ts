import { describe, expect, it } from "vitest";
import { consoleCommands, isAsWritten } from "./console-blocks.ts";

const page = [
  "# page",
  "```sh",
  "$ not this",
  "```",
  "```console",
  "$ first",
  "one   two ...",
  "",
  "$ second",
  "...",
  "end",
  "```",
  "$ nor this",
].join("\n");

describe("commands of a page", () => {
  it("are the lines after $ in console blocks, with what follows them", () => {
    expect(consoleCommands(page)).toEqual([
      { line: 6, command: "first", output: ["one   two ..."] },
      { line: 9, command: "second", output: ["...", "end"] },
    ]);
  });

  it.each([
    [["a b"], "a    b\n", true],
    [["a b"], "a c\n", false],
    [["a"], "a\nb\n", false],
    [["{", "  a: ...", "}"], "{\n  a: 1\n}\n", true],
    [["a ...", "...", "z"], "a 1\nx\ny\nz", true],
    [["...", "z"], "z", true],
    [["web-...: 3/3 (.)"], "web-abc: 3/3 (.)", true],
    [["web-...: 3/3 (.)"], "web-abc: 3/3 (x)", false],
    [[], "anything", true],
  ])("%j fits %j: %s", (output, printed, fits) => {
    expect(isAsWritten(output, printed)).toBe(fits);
  });
});
