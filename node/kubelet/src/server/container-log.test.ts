import { describe, expect, it } from "vitest";
import { logOptions, parseLogLine } from "./container-log.ts";

describe("log lines of the runtime interface", () => {
  it.each([
    ["2026-01-01T00:00:00.1Z stdout F hello there", { stream: "stdout", isPartial: false, text: "hello there" }],
    ["2026-01-01T00:00:00.1Z stderr P half", { stream: "stderr", isPartial: true, text: "half" }],
    ["2026-01-01T00:00:00.1Z stdout F ", { stream: "stdout", isPartial: false, text: "" }],
  ])("%s", (line, expected) => expect(parseLogLine(line)).toMatchObject(expected));

  it("that are none are left out", () => expect(parseLogLine("nonsense")).toBeUndefined());
});

it("a log request's query says what of it is wanted", () => {
  expect(logOptions(new URLSearchParams("follow=true&tailLines=5&sinceSeconds=10"), 60_000)).toMatchObject({
    follow: true,
    timestamps: false,
    tailLines: 5,
    sinceMs: 50_000,
    limitBytes: undefined,
  });
});
