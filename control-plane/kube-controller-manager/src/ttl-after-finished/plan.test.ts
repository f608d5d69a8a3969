import type { Job } from "@coracle/api/batch/v1";
import { describe, expect, it } from "vitest";
import { msUntilExpiry } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const job = (ttlSecondsAfterFinished: number | undefined, type = "Complete", status = "True"): Job => ({
  metadata: { name: "task" },
  spec: { template: {}, ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }) },
  status: { conditions: [{ type, status, lastTransitionTime: "2026-01-01T23:59:00Z" }] },
});

describe("when an ended Job is deleted", () => {
  it.each([
    ["never, unless asked for", job(undefined), undefined],
    ["its seconds after it completed", job(100), 40_000],
    ["its seconds after it failed", job(100, "Failed"), 40_000],
    ["at once", job(0), 0],
    ["not before it ended", job(0, "Suspended"), undefined],
    ["not for a condition that does not hold", job(0, "Complete", "False"), undefined],
    ["not twice", { ...job(0), metadata: { deletionTimestamp: "2026-01-02T00:00:00Z" } }, undefined],
  ])("%s", (_, of, ms) => expect(msUntilExpiry(of, NOW)).toBe(ms));
});
