import { describe, expect, it } from "vitest";
import { logText } from "./runtime-state.ts";

describe("a termination message from the log", () => {
  it("has the lines' ends that the container wrote, and no other", () => {
    const at = "2026-01-01T00:00:00.0Z";
    expect(logText(`${at} stdout F one\n${at} stderr F two\n`)).toBe("one\ntwo\n");
    expect(logText(`${at} stdout P DO\n${at} stdout P NE\n`)).toBe("DONE");
    expect(logText(`cut off\n${at} stdout F \n${at} stdout F x`)).toBe("\n");
  });
});
