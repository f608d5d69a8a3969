import type { PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { usesClaim } from "./plan.ts";

const claim = (name: string, owner?: string): PersistentVolumeClaim => ({
  metadata: {
    name,
    namespace: "n",
    ...(owner === undefined
      ? {}
      : { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: owner, uid: owner, controller: true }] }),
  },
  spec: {},
});
const pod = (part: Partial<Pod["metadata"]> = {}, phase = "Running", nodeName: string | undefined = "n1"): Pod => ({
  metadata: { name: "p", namespace: "n", uid: "p", ...part },
  spec: {
    containers: [],
    ...(nodeName === undefined ? {} : { nodeName }),
    volumes: [
      { name: "data", persistentVolumeClaim: { claimName: "data" } },
      { name: "own", ephemeral: { volumeClaimTemplate: { spec: {} } } },
    ],
  },
  status: { phase },
});
const shutDown = { deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 0 };

describe("a claim stays", () => {
  it.each<readonly [string, boolean, Pod, PersistentVolumeClaim]>([
    ["for a pod that runs", true, pod(), claim("data")],
    ["for a pod that has ended and is still there", true, pod({}, "Succeeded"), claim("data")],
    ["for a pod that is on its way out", true, pod(shutDown), claim("data")],
    ["not for a pod without a node", false, { ...pod(), spec: { ...pod().spec, nodeName: "" } }, claim("data")],
    ["not for a pod with other claims", false, pod(), claim("other")],
    ["for the pod it was made for", true, pod(), claim("p-own", "p")],
    ["not for it once that is shut down", false, pod(shutDown), claim("p-own", "p")],
    ["not for a pod that it only has the name of", false, pod(), claim("p-own", "another")],
  ])("%s", (_, expected, user, used) => expect(usesClaim(user, used)).toBe(expected));
});
