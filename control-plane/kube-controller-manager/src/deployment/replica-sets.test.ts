import type { ReplicaSet } from "@coracle/api/apps/v1";
import { describe, expect, it } from "vitest";
import { annotationsForNewSet, nextRevision, REVISION, REVISION_HISTORY } from "./replica-sets.ts";

const set = (revision?: string): ReplicaSet => ({
  metadata: { name: "web", ...(revision === undefined ? {} : { annotations: { [REVISION]: revision } }) },
  spec: { selector: {} },
});
const deployment = { metadata: { name: "web" }, spec: { selector: {}, template: {} } };

describe("revisions of a Deployment", () => {
  it("go on from the highest one, to the last digit of a 64-bit number", () => {
    expect(nextRevision([])).toBe(1n);
    expect(nextRevision([set("2"), set(), set("10"), set("none")])).toBe(11n);
    expect(nextRevision([set("3546343826724305832")])).toBe(3546343826724305833n);
  });

  it("are only raised, and the former one goes into the history", () => {
    expect(annotationsForNewSet(deployment, undefined, 1n)).toEqual({ [REVISION]: "1" });
    expect(annotationsForNewSet(deployment, set("3"), 2n)).toEqual({ [REVISION]: "3" });
    expect(annotationsForNewSet(deployment, set("1"), 4n)).toEqual({ [REVISION]: "4", [REVISION_HISTORY]: "1" });
  });
});
