import type { StorageVersion } from "@coracle/api/apiserverinternal/v1alpha1";
import { expect, it } from "vitest";
import { planStorageVersion } from "./plan.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const said = (...servers: readonly (readonly [id: string, version: string])[]): StorageVersion => ({
  metadata: { name: "apps.deployments" },
  spec: {},
  status: { storageVersions: servers.map(([apiServerID, encodingVersion]) => ({ apiServerID, encodingVersion })) },
});
const only =
  (...alive: readonly string[]) =>
  (server: string) =>
    alive.includes(server);

it("what servers that live said stays", () => {
  expect(planStorageVersion(said(["a", "v1"]), only("a"), now)).toEqual({ action: "none" });
});
it("what the others said is forgotten, and whether all agree is told anew", () => {
  expect(planStorageVersion(said(["a", "v1"], ["b", "v2"]), only("b"), now)).toMatchObject({
    action: "update",
    status: {
      commonEncodingVersion: "v2",
      storageVersions: [{ apiServerID: "b" }],
      conditions: [{ type: "AllEncodingVersionsEqual", status: "True", reason: "CommonEncodingVersionSet" }],
    },
  });
  const three = said(["a", "v1"], ["b", "v2"], ["c", "v1"]);
  expect(planStorageVersion(three, only("b", "c"), now)).toMatchObject({
    status: { conditions: [{ status: "False", reason: "CommonEncodingVersionUnset" }] },
  });
});
it("with nobody left it goes", () => {
  expect(planStorageVersion(said(["a", "v1"]), only(), now)).toEqual({ action: "delete" });
});
