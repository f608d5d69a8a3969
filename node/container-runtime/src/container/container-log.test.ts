import { describe, expect, it } from "vitest";
import { parseLogLines } from "./container-log.ts";

describe("CRI log lines", () => {
  it("gives full lines their end back, partial ones not, and keeps the unfinished rest", () => {
    const text =
      "2026-01-01T00:00:00.1+00:00 stdout F hi there\n2026-01-01T00:00:00.2+00:00 stderr P half\n2026-01-01T00:00:00.3+00:00 stdout F \nunfinished";
    const { entries, rest } = parseLogLines(Buffer.from(text));
    expect(entries.map((entry) => [entry.stream, entry.data.toString()])).toEqual([
      ["stdout", "hi there\n"],
      ["stderr", "half"],
      ["stdout", "\n"],
    ]);
    expect(rest.toString()).toBe("unfinished");
  });
});
