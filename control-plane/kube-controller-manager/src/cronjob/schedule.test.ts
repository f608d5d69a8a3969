import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { localTimestamp, parseSchedule } from "./schedule.ts";

const next = (schedule: string, after: string, zone = "UTC"): string | undefined => {
  const at = parseSchedule(schedule, zone).next(Date.parse(after));
  return at === undefined ? undefined : new Date(at).toISOString();
};

describe("schedule", () => {
  it.each([
    ["* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00.000Z"],
    ["*/15 * * * *", "2026-01-01T00:14:59Z", "2026-01-01T00:15:00.000Z"],
    ["0 9-17/4 * * mon-fri", "2026-01-02T18:00:00Z", "2026-01-05T09:00:00.000Z"],
    ["5,35 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:35:00.000Z"],
    ["0 0 29 2 ?", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z"],
    ["0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00.000Z"], // day or weekday
    ["0 0 1 JAN *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00.000Z"],
    ["@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00.000Z"],
    ["@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00.000Z"],
    ["@every 1h30m", "2026-01-01T00:00:10Z", "2026-01-01T01:30:10.000Z"],
    ["TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00.000Z"],
    ["0 0 31 2 *", "2026-01-01T00:00:00Z", undefined],
  ])("%s after %s", (schedule, after, expected) => expect(next(schedule, after)).toBe(expected));

  it.each([
    ["skips an hour that does not exist", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00.000Z"],
    ["an hourly one runs through the change", "0 * * * *", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00.000Z"],
    ["follows summer time", "0 9 * * *", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00.000Z"],
    ["follows winter time", "0 9 * * *", "2026-12-01T00:00:00Z", "2026-12-01T08:00:00.000Z"],
  ])("in Berlin %s", (_, schedule, after, expected) => expect(next(schedule, after, "Europe/Berlin")).toBe(expected));

  it.each(["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "x * * * *", "@never", "@every x"])(
    "%j is none",
    (text) => expect(() => parseSchedule(text, "UTC")).toThrow(),
  );
  it("an unknown zone is named", () =>
    expect(() => parseSchedule("* * * * *", "Mars/Base")).toThrow("unknown time zone Mars/Base"));
});

it.each([
  [undefined, "2026-07-01T07:00:00Z"],
  ["Europe/Berlin", "2026-07-01T09:00:00+02:00"],
  ["Asia/Kathmandu", "2026-07-01T12:45:00+05:45"],
  ["America/St_Johns", "2026-07-01T04:30:00-02:30"],
])("a time in %s says how far that is from UTC", (zone, expected) =>
  expect(localTimestamp(Date.parse("2026-07-01T07:00:00Z"), zone)).toBe(expected),
);

/** Schedule, zone, and an error; or a time, and the next ones after it that upstream's parser found, in seconds. */
type Observed = readonly [schedule: string, zone: string, error: string] | readonly [string, string, ...number[]];

it("finds the times that upstream's parser finds, also where summer time begins and ends", () => {
  const file = new URL("testdata/observed-times.json", import.meta.url);
  const observed = JSON.parse(readFileSync(file, "utf8")) as readonly Observed[];
  expect(observed.length).toBeGreaterThan(300);
  for (const [schedule, zone, ...told] of observed) {
    const [after, ...times] = told;
    if (typeof after === "string") expect(() => parseSchedule(schedule, zone)).toThrow();
    else if (after !== undefined) {
      const found: number[] = [];
      const read = parseSchedule(schedule, zone);
      for (let at: number | undefined = after * 1000; found.length < times.length;) {
        at = at === undefined ? undefined : read.next(at);
        found.push((at ?? 0) / 1000);
      }
      expect([schedule, zone, after, ...found]).toEqual([schedule, zone, after, ...times]);
    }
  }
});
