import { describe, expect, it } from "vitest";
import { isTimeZone, scheduleProblem } from "./cron-schedule.ts";

describe("the cron grammar", () => {
  it.each(["*/5 * * * *", "0 0 1 jan sun", "15,45 8-17/2 * * MON-FRI", "@hourly", "@every 1h30m", "0 0 ? * 6"])(
    "takes %s",
    (schedule) => {
      expect(scheduleProblem(schedule)).toBeUndefined();
    },
  );
  it.each(["", "* * * *", "60 * * * *", "* * 0 * *", "* * * * 7", "*/0 * * * *", "@never", "5-1 * * * *"])(
    "refuses '%s'",
    (schedule) => {
      expect(scheduleProblem(schedule)).toBeDefined();
    },
  );
  it.each([
    ["*/5 * * * *x", 'failed to parse int from *x: strconv.Atoi: parsing "*x": invalid syntax'],
    ["-1 * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'],
    ["60 * * * *", "end of range (60) above maximum (59): 60"],
    ["* * 0 * *", "beginning of range (0) below minimum (1): 0"],
    ["5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"],
    ["1-2-3 * * * *", "too many hyphens: 1-2-3"],
    ["1/2/3 * * * *", "too many slashes: 1/2/3"],
    ["*/0 * * * *", "step of range should be a positive number: */0"],
  ])("says of '%s' what is wrong", (schedule, problem) => {
    expect(scheduleProblem(schedule)).toBe(problem);
  });
  it("knows time zones by their IANA names", () => {
    expect(["Etc/UTC", "Europe/Berlin", "Nope/Zone", "../etc"].map(isTimeZone)).toEqual([true, true, false, false]);
  });
});
