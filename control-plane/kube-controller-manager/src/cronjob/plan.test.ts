import type { CronJob, Job } from "@coracle/api/batch/v1";
import { describe, expect, it } from "vitest";
import { decideStart, dueTime, jobName, surplusJobs } from "./plan.ts";
import { parseSchedule } from "./schedule.ts";

const at = (time: string): number => Date.parse(`2026-01-02T${time}Z`);
const cronJob = (spec: Partial<CronJob["spec"]> = {}, last?: string, created = "00:00:00"): CronJob => ({
  metadata: { name: "tick", creationTimestamp: `2026-01-02T${created}Z` },
  spec: { schedule: "*/10 * * * *", jobTemplate: {}, ...spec },
  status: last === undefined ? {} : { lastScheduleTime: `2026-01-02T${last}Z` },
});
const due = (of: CronJob, now: string) => {
  const { at: time, isManyMissed } = dueTime(of, parseSchedule(of.spec.schedule), at(now));
  return `${time === undefined ? "-" : new Date(time).toISOString().slice(11, 19)}${isManyMissed ? " many" : ""}`;
};

describe("what is due", () => {
  it.each([
    ["nothing before the first time", cronJob({}, undefined, "00:01:00"), "00:09:59", "-"],
    ["the first time after it was made", cronJob({}, undefined, "00:01:00"), "00:10:00", "00:10:00"],
    ["nothing since the last start", cronJob({}, "00:10:00"), "00:19:59", "-"],
    ["only the latest of those missed", cronJob({}, "00:10:00"), "01:05:00", "01:00:00"],
    [
      "many missed are told, and the latest still found",
      cronJob({ schedule: "* * * * *" }, "00:00:00"),
      "05:00:30",
      "05:00:00 many",
    ],
    [
      "those before the starting deadline do not count",
      cronJob({ startingDeadlineSeconds: 60 }, "00:10:00"),
      "01:05:00",
      "-",
    ],
    [
      "nor as missed",
      cronJob({ schedule: "* * * * *", startingDeadlineSeconds: 600 }, "00:00:00"),
      "05:00:30",
      "05:00:00",
    ],
  ])("%s", (_, of, now, expected) => expect(due(of, now)).toBe(expected));
});

describe("when to look again", () => {
  const next = (of: CronJob, now: string): string | undefined => {
    const { next: time, isInvalid } = dueTime(of, parseSchedule(of.spec.schedule, "UTC"), at(now));
    return isInvalid ? "invalid" : time === undefined ? undefined : new Date(time).toISOString().slice(11, 19);
  };
  it.each([
    ["at the next time", cronJob({}, "00:10:00"), "00:10:01", "00:20:00"],
    ["after the latest of those missed", cronJob({}, "00:10:00"), "01:05:00", "01:10:00"],
    ["also when its deadline has passed", cronJob({ startingDeadlineSeconds: 60 }, "00:10:00"), "01:05:00", "01:10:00"],
    ["never, when the schedule has no time", cronJob({ schedule: "0 0 31 2 *" }), "01:05:00", "invalid"],
  ])("%s", (_, of, now, expected) => expect(next(of, now)).toBe(expected));
});

describe("whether it is started", () => {
  const decide = (spec: Partial<CronJob["spec"]>, active: number, now = "00:10:01", name = "other") =>
    decideStart(
      cronJob(spec),
      at("00:10:00"),
      Array.from({ length: active }, () => ({ name })),
      at(now),
    );
  it.each([
    ["Allow: beside those at work", decide({}, 1), { action: "start", replace: false }],
    [
      "Forbid: not beside one at work",
      decide({ concurrencyPolicy: "Forbid" }, 1),
      { action: "skip", reason: "JobAlreadyActive" },
    ],
    ["Forbid: when none is", decide({ concurrencyPolicy: "Forbid" }, 0), { action: "start", replace: false }],
    [
      "Replace: instead of those at work",
      decide({ concurrencyPolicy: "Replace" }, 1),
      { action: "start", replace: true },
    ],
    ["within its deadline", decide({ startingDeadlineSeconds: 5 }, 0, "00:10:05"), { action: "start", replace: false }],
    [
      "past its deadline",
      decide({ startingDeadlineSeconds: 5 }, 0, "00:10:06"),
      { action: "skip", reason: "MissSchedule" },
    ],
    [
      "it was already",
      decide({}, 1, "00:10:01", jobName(cronJob(), at("00:10:00"))),
      { action: "skip", reason: undefined },
    ],
  ])("%s", (_, decision, expected) => expect(decision).toEqual(expected));

  it("the Job of a time has one name", () => {
    expect(jobName(cronJob(), at("00:10:00"))).toBe(`tick-${at("00:10:00") / 60_000}`);
  });
});

it("keeps the latest ended Jobs of each outcome", () => {
  const job = (name: string, type: string, created: string): Job => ({
    metadata: { name, creationTimestamp: `2026-01-02T${created}Z` },
    spec: { template: {} },
    status: { startTime: `2026-01-02T${created}Z`, conditions: [{ type, status: "True" }] },
  });
  const jobs = [
    job("c2", "Complete", "02:00:00"),
    job("c1", "Complete", "01:00:00"),
    job("f1", "Failed", "01:00:00"),
    job("f2", "Failed", "02:00:00"),
    job("run", "Suspended", "00:00:00"),
  ];
  const names = (spec: Partial<CronJob["spec"]>): unknown =>
    surplusJobs(cronJob(spec), jobs).map((each) => each.metadata.name);
  expect(names({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 })).toEqual(["c1", "f1", "f2"]);
  expect(names({ successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1 })).toEqual(["f1"]);
});
