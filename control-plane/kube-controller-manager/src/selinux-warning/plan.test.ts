import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { conflictMessage, conflictsOf, labelledVolume, labelsConflict, labelWanted, volumeLabel } from "./plan.ts";

const pod = (levels: readonly (string | undefined)[], securityContext: Pod["spec"]["securityContext"] = {}): Pod => ({
  metadata: { name: "p", namespace: "d" },
  spec: {
    securityContext,
    containers: levels.map((level, i) => ({
      name: `c${i}`,
      image: "i",
      volumeMounts: [{ name: "v", mountPath: "/v" }],
      ...(level === undefined ? {} : { securityContext: { seLinuxOptions: { level } } }),
    })),
  },
});

describe("labels of volumes", () => {
  it.each<[string, Pod, string | undefined]>([
    ["none", pod([undefined]), ""],
    ["the container's", pod(["s0:c1"]), ":::s0:c1"],
    ["the pod's", pod([undefined], { seLinuxOptions: { level: "s0:c2", type: "t" } }), "::t:s0:c2"],
    ["the container's before the pod's", pod(["s0:c1"], { seLinuxOptions: { level: "s0:c2" } }), ":::s0:c1"],
    ["several", pod(["s0:c1", "s0:c2"]), undefined],
  ])("%s", (_what, each, label) => expect(labelWanted(each, "v")).toBe(label));

  it("are mounted only where the volume and the pod allow it", () => {
    expect(volumeLabel(pod([]), "a:b:c:d", true)).toEqual({ label: "a:b:c:d", changePolicy: "MountOption" });
    expect(volumeLabel(pod([]), "a:b:c:d", false)).toEqual({ label: "", changePolicy: "Recursive" });
    expect(volumeLabel(pod([]), "", true)).toEqual({ label: "", changePolicy: "Recursive" });
    const recursive = pod([], { seLinuxChangePolicy: "Recursive" });
    expect(volumeLabel(recursive, "a:b:c:d", true)).toEqual({ label: "", changePolicy: "Recursive" });
  });

  it.each([
    ["a:b:c:s0:c1,c2", "a:b:c:s0:c1,c2", false],
    ["a:b:c:s0:c1", "a:b:c:s0:c2", true],
    [":::s0:c1", "a:b:c:s0:c1", false],
    ["a:b:x:s0", "a:b:c:s0", true],
    ["", "a:b:c:s0", true],
    ["", "", false],
  ])("%s and %s conflict: %s", (a, b, conflict) => {
    expect(labelsConflict(a, b)).toBe(conflict);
    expect(labelsConflict(b, a)).toBe(conflict);
  });
});

describe("pods that share a volume", () => {
  const users = new Map([
    ["d/a", { label: ":::s0:c1", changePolicy: "MountOption" }],
    ["d/b", { label: ":::s0:c2", changePolicy: "MountOption" }],
    ["e/c", { label: "", changePolicy: "Recursive" }],
  ]);
  it("are told of each other, without names across namespaces", () => {
    expect(conflictsOf("d/a", users).map(conflictMessage)).toEqual([
      'SELinuxLabel ":::s0:c1" conflicts with pod b that uses the same volume as this pod with SELinuxLabel ":::s0:c2". If both pods land on the same node, only one of them may access the volume.',
      'SELinuxLabel ":::s0:c2" conflicts with pod a that uses the same volume as this pod with SELinuxLabel ":::s0:c1". If both pods land on the same node, only one of them may access the volume.',
      'SELinuxChangePolicy"MountOption" conflicts with another pod that uses the same volume as this pod with a different SELinuxChangePolicy. If both pods land on the same node, only one of them may access the volume.',
      'SELinuxChangePolicy"Recursive" conflicts with another pod that uses the same volume as this pod with a different SELinuxChangePolicy. If both pods land on the same node, only one of them may access the volume.',
      'SELinuxLabel":::s0:c1" conflicts with another pod that uses the same volume as this pod with a different SELinuxLabel. If both pods land on the same node, only one of them may access the volume.',
      'SELinuxLabel"" conflicts with another pod that uses the same volume as this pod with a different SELinuxLabel. If both pods land on the same node, only one of them may access the volume.',
    ]);
    expect(conflictsOf("d/x", users)).toEqual([]);
  });
  it("share it by what it is, not by its name", () => {
    expect(labelledVolume({ csi: { driver: "d", volumeHandle: "h" } })).toEqual({ id: "csi/d^h", driver: "d" });
    expect(labelledVolume({ name: "v", csi: { driver: "d" } })).toBeUndefined();
    expect(labelledVolume({ name: "v", emptyDir: {} })).toBeUndefined();
  });
});
