import type { ControllerRevision } from "@coracle/api/apps/v1";
import { describe, expect, it } from "vitest";
import { REVISION_HASH, surplusRevisions } from "./revisions.ts";

const all = ["a", "b", "c", "d"].map((name, i): ControllerRevision => ({
  metadata: { name, labels: { [REVISION_HASH]: name } },
  revision: i + 1,
}));
const update = all[3] as ControllerRevision;

describe("revisions that nobody needs", () => {
  it.each<readonly [string, readonly string[], number, boolean, string]>([
    ["go from the oldest", [], 1, false, "a,b"],
    ["stay as long as a pod has them", ["a"], 1, false, "b"],
    ["stay as many as are to be kept beside those in use", ["a"], 2, false, ""],
    ["stay as many as are to be kept with those in use", ["a"], 2, true, "b"],
    ["all go but the present one", ["d"], 0, true, "a,b,c"],
  ])("%s", (_, used, limit, countsUsed, expected) => {
    const surplus = surplusRevisions({ all, update }, new Set(used), { limit, countsUsed });
    expect(surplus.map(({ metadata }) => metadata.name).join()).toBe(expected);
  });
});
