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
  it("knows time zones by their IANA names", () => {
    expect(["Etc/UTC", "Europe/Berlin", "Nope/Zone", "../etc"].map(isTimeZone)).toEqual([true, true, false, false]);
  });
});
