import type { StatefulSet } from "@coracle/api/apps/v1";
import type { PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { describe, expect, it } from "vitest";
import { claimOwners, isStaleClaim } from "./claim-owners.ts";

const set = (whenDeleted?: string, whenScaled?: string): StatefulSet => ({
  metadata: { name: "db", uid: "set" },
  spec: {
    replicas: 2,
    serviceName: "db",
    selector: {},
    template: {},
    ...(whenDeleted === undefined ? {} : { persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } }),
  },
});
const pod = (ordinal: number): Pod => ({
  metadata: { name: `db-${ordinal}`, uid: `pod-${ordinal}` },
  spec: { containers: [] },
});
const reference = (kind: string, name: string, uid: string): OwnerReference => ({
  apiVersion: kind === "Pod" ? "v1" : "apps/v1",
  kind,
  name,
  uid,
  controller: true,
  blockOwnerDeletion: true,
});
const ofSet = reference("StatefulSet", "db", "set");
const ofPod = reference("Pod", "db-2", "pod-2");
const claim = (...ownerReferences: OwnerReference[]): PersistentVolumeClaim => ({
  metadata: { name: "data-db-0", ownerReferences },
  spec: {},
});
const other: OwnerReference = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "x" };

describe("who a claim goes with (db has the ordinals 0 and 1)", () => {
  it.each<[string, StatefulSet, number, PersistentVolumeClaim, readonly OwnerReference[] | undefined]>([
    ["nobody, by default", set(), 0, claim(), undefined],
    ["no longer anybody", set("Retain", "Retain"), 0, claim(ofSet), []],
    ["the set", set("Delete", "Retain"), 0, claim(), [ofSet]],
    ["the set, already", set("Delete", "Retain"), 0, claim(ofSet), undefined],
    ["the set, though scaled away", set("Delete", "Retain"), 2, claim(), [ofSet]],
    ["its pod, when scaled away", set("Retain", "Delete"), 2, claim(), [ofPod]],
    ["not its pod while that is wanted", set("Retain", "Delete"), 0, claim(), undefined],
    ["its pod instead of the set", set("Delete", "Delete"), 2, claim(ofSet), [ofPod]],
    ["the set, when its pod is wanted again", set("Delete", "Delete"), 0, claim(ofSet), undefined],
    ["others stay", set("Delete", "Retain"), 0, claim(other), [other, ofSet]],
    ["another's claim is left alone", set("Delete", "Retain"), 0, claim({ ...other, controller: true }), undefined],
  ])("%s", (_, of, ordinal, present, expected) =>
    expect(claimOwners(of, pod(ordinal), present).owners).toEqual(expected),
  );

  it("people are told when another manages it, and our references go", () => {
    const contested = { ...other, controller: true };
    const of = set("Delete", "Retain");
    expect(claimOwners(of, pod(0), claim(contested))).toEqual({ owners: undefined, isContested: true });
    expect(claimOwners(of, pod(0), claim(contested, ofSet))).toEqual({ owners: [contested], isContested: true });
    expect(claimOwners(set(), pod(0), claim(contested)).isContested).toBe(false);
  });

  it("that of an earlier set of the name is not touched", () => {
    const earlier = { ...ofSet, uid: "before" };
    expect(claimOwners(set("Delete", "Retain"), pod(0), claim(earlier)).owners).toBeUndefined();
  });

  it("one that goes with an earlier pod is not for its successor", () => {
    expect(isStaleClaim(set("Retain", "Delete"), "db-2", claim(ofPod))).toBe(true);
    expect(isStaleClaim(set("Retain", "Delete"), "db-1", claim(ofPod))).toBe(false);
    expect(isStaleClaim(set("Delete", "Retain"), "db-2", claim(ofPod))).toBe(false);
  });
});
