import { describe, expect, it } from "vitest";
import { humanDuration } from "./duration.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe("ages", () => {
  it.each([
    [-5 * SECOND, "<invalid>"],
    [-1, "0s"],
    [0, "0s"],
    [119 * SECOND, "119s"],
    [2 * MINUTE, "2m"],
    [150 * SECOND, "2m30s"],
    [10 * MINUTE + SECOND, "10m"],
    [179 * MINUTE, "179m"],
    [3 * HOUR, "3h"],
    [3 * HOUR + 5 * MINUTE, "3h5m"],
    [9 * HOUR + MINUTE, "9h"],
    [47 * HOUR, "47h"],
    [50 * HOUR, "2d2h"],
    [8 * DAY + HOUR, "8d"],
    [800 * DAY, "2y70d"],
    [9 * 365 * DAY, "9y"],
  ])("%d ms is %s", (ms, expected) => {
    expect(humanDuration(ms)).toBe(expected);
  });
});
