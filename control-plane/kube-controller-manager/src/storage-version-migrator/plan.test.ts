import type { StorageVersionMigration } from "@coracle/api/storagemigration/v1beta1";
import { describe, expect, it } from "vitest";
import type { DiscoveredResource } from "../discovery/resources.ts";
import { findTarget, isOver, isWrittenAfter, migrationStatus } from "./plan.ts";

const MADE = Date.parse("2026-01-01T00:00:00Z");
const migration = (resource: string, status?: StorageVersionMigration["status"]): StorageVersionMigration => ({
  metadata: { name: "m", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { resource: { group: "apps", resource } },
  status,
});
const served = (plural: string, ...verbs: string[]): DiscoveredResource => ({
  group: "apps",
  version: "v1",
  kind: "Any",
  listKind: "AnyList",
  plural,
  namespaced: true,
  verbs: new Set(verbs),
  versions: new Set<string>(),
  hasScale: false,
});

describe("what is migrated", () => {
  const all = [served("sets", "get", "list", "patch", "update"), served("reviews", "create")];
  it.each([
    ["a kind that can be listed, patched and updated", "sets", 0, { kind: "found", resource: all[0] }],
    ["nothing yet: it may come", "ships", 59_000, { kind: "late" }],
    ["nothing: it did not come", "ships", 60_000, { kind: "never", why: "resource does not exist in discovery" }],
    [
      "nothing: it cannot be",
      "reviews",
      0,
      {
        kind: "never",
        why: 'resource "apps/v1, Resource=reviews" does not support discovery operations: [update patch list]',
      },
    ],
  ])("%s", (_what, plural, afterMs, expected) => {
    expect(findTarget(migration(plural), all, MADE + afterMs)).toEqual(expected);
  });

  it.each([
    [undefined, false],
    ["9", false],
    ["10", false],
    ["11", true],
  ])("not what was written after it began: %s", (resourceVersion, expected) => {
    expect(isWrittenAfter("10", resourceVersion)).toBe(expected);
  });
});

describe("the state of a migration", () => {
  const at = (state: "Running" | "Succeeded" | "Failed", from: StorageVersionMigration) =>
    migration("sets", migrationStatus(from, state, state === "Failed" ? "why" : "", MADE));
  const states = ({ status }: StorageVersionMigration) =>
    status?.conditions?.map((each) => `${each.type} ${each.status}`);

  it("runs, and is over once it has succeeded or failed", () => {
    const running = at("Running", migration("sets"));
    expect(states(running)).toEqual(["Running True"]);
    expect(isOver(running)).toBe(false);
    expect(states(at("Succeeded", running))).toEqual(["Running False", "Succeeded True"]);
    expect(isOver(at("Succeeded", running))).toBe(true);
    expect(isOver(at("Failed", running))).toBe(true);
  });

  it("is told once", () => {
    const running = at("Running", migration("sets"));
    expect(at("Running", running)).toEqual(running);
  });
});
