import type { Pod } from "@coracle/api/core/v1";
import type { ResourceClaim, ResourceClaimTemplate } from "@coracle/api/resource/v1";
import { describe, expect, it } from "vitest";
import { claimFrom, claimNamesOf, findMade, isDone, isToBeReserved, needsWork, releasedTo } from "./plan.ts";

const ALLOCATION = { devices: { results: [] } };
const pod = (spec: Partial<Pod["spec"]> = {}, status: Pod["status"] = {}): Pod => ({
  metadata: { namespace: "ns", name: "user", uid: "u1" },
  spec: { containers: [], ...spec },
  status,
});
const claim = (owner: string | undefined, status: ResourceClaim["status"] = {}, annotations = {}): ResourceClaim => ({
  metadata: {
    name: "made",
    annotations,
    finalizers: ["resource.kubernetes.io/delete-protection"],
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "user", uid: owner, controller: true }] }),
  },
  spec: {},
  status,
});
const byTemplate = { resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "t" }] };
const named = { resourceClaimStatuses: [{ name: "gpu", resourceClaimName: "made" }] };

describe("a pod's claims", () => {
  it.each<[string, boolean, Pod, ResourceClaim | undefined]>([
    ["are made by template", true, pod(byTemplate), undefined],
    ["are not made for a pod that has ended", false, pod(byTemplate, { phase: "Succeeded" }), undefined],
    [
      "that are not needed are not made",
      false,
      pod(byTemplate, { resourceClaimStatuses: [{ name: "gpu" }] }),
      undefined,
    ],
    ["that are there are not made again", false, pod(byTemplate, named), claim("u1")],
    ["that are gone are made again", true, pod(byTemplate, named), undefined],
    ["that are another's stay so", false, pod(byTemplate, named), claim("u2")],
    [
      "that users make are waited for",
      false,
      pod({ resourceClaims: [{ name: "gpu", resourceClaimName: "mine" }] }),
      undefined,
    ],
    [
      "that are allocated are the scheduler's to reserve",
      false,
      pod(byTemplate, named),
      claim("u1", { allocation: ALLOCATION }),
    ],
    [
      "are reserved when something else placed the pod",
      true,
      pod({ ...byTemplate, nodeName: "n" }, named),
      claim("u1", { allocation: ALLOCATION }),
    ],
    ["are not reserved before they are allocated", false, pod({ ...byTemplate, nodeName: "n" }, named), claim("u1")],
  ])("%s", (_rule, expected, of, found) => expect(needsWork(of, () => found)).toBe(expected));

  it("are found by their names, those of extended resources too", () => {
    const status = { ...named, extendedResourceClaimStatus: { resourceClaimName: "extended", requestMappings: [] } };
    expect(claimNamesOf(pod(byTemplate, status))).toEqual(["made", "extended"]);
  });

  it("have room for 256 users, each once", () => {
    const users = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ resource: "pods", name: `p${i}`, uid: `x${i}` }));
    expect(isToBeReserved(pod(), claim("u1", { allocation: ALLOCATION, reservedFor: users(255) }))).toBe(true);
    expect(isToBeReserved(pod(), claim("u1", { allocation: ALLOCATION, reservedFor: users(256) }))).toBe(false);
    const reservedFor = [{ resource: "pods", name: "user", uid: "u1" }];
    expect(isToBeReserved(pod(), claim("u1", { allocation: ALLOCATION, reservedFor }))).toBe(false);
  });
});

describe("a claim made from a template", () => {
  const template: ResourceClaimTemplate = {
    metadata: { name: "t" },
    spec: { metadata: { labels: { a: "b" }, annotations: { c: "d" } }, spec: { devices: {} } },
  };
  it("has the template's labels, and says for which of the pod's it is", () => {
    const made = claimFrom(template, pod(), "gpu");
    expect(made.metadata).toMatchObject({
      generateName: "user-gpu-",
      labels: { a: "b" },
      annotations: { c: "d", "resource.kubernetes.io/pod-claim-name": "gpu" },
    });
    const seen = { ...made, metadata: { ...made.metadata, name: "user-gpu-x" } };
    expect(findMade(pod(), "gpu", [claim("u1"), seen])).toBe(seen);
    expect(findMade(pod(), "fpga", [claim("u1"), seen])).toBeUndefined();
  });

  it("has a name that keeps part of each when they are long", () => {
    const long = { ...pod(), metadata: { namespace: "ns", name: "p".repeat(60), uid: "u1" } };
    const base = claimFrom(template, long, "c".repeat(60)).metadata.generateName ?? "";
    expect(base).toMatch(/^p+-c+$/);
    expect(base.length).toBeLessThanOrEqual(57);
    expect(base.split("-").map((part) => part.length)).toEqual([28, 28]);
  });
});

describe("a claim whose users go", () => {
  it("keeps its devices for those that are left, and gives them back with the last", () => {
    const user = { resource: "pods", name: "user", uid: "u1" };
    const used = claim(undefined, { allocation: ALLOCATION, reservedFor: [user, { ...user, uid: "u2" }] });
    expect(releasedTo([user], used).status).toEqual({ allocation: ALLOCATION, reservedFor: [user] });
    expect(releasedTo([], used).status).toEqual({});
    const unheld = { ...used, metadata: { name: "made" } };
    expect(releasedTo([], unheld).status).toEqual({ allocation: ALLOCATION });
  });

  it.each<[string, boolean, Pod]>([
    ["a pod that runs", false, pod({ nodeName: "n" })],
    ["a pod that has failed", true, pod({ nodeName: "n" }, { phase: "Failed" })],
    ["a pod that was deleted before it was placed", true, { ...pod(), metadata: { deletionTimestamp: "x" } }],
    ["a pod that is being stopped", false, { ...pod({ nodeName: "n" }), metadata: { deletionTimestamp: "x" } }],
  ])("%s uses it no more: %s", (_which, expected, of) => expect(isDone(of)).toBe(expected));
});
