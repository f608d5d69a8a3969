import { describe, expect, it } from "vitest";
import { cgroupHierarchyOf } from "../cgroup/hierarchy.ts";
import { cpuWeightOfShares } from "../cgroup/limits.ts";
import { capabilitiesOfMask } from "../host/host.ts";
import { parseMountInfo } from "./mountinfo.ts";

describe("mountinfo", () => {
  it("reads optional fields, escapes and super options", () => {
    const [m] = parseMountInfo(
      "36 35 98:0 /a /mnt\\040x rw,noatime shared:1 master:2 - ext4 /dev/root rw,errors=continue\n",
    );
    expect(m).toEqual({
      root: "/a",
      mountPoint: "/mnt x",
      options: ["rw", "noatime"],
      propagation: ["shared:1", "master:2"],
      fsType: "ext4",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    });
  });

  it("tells version 1, mixed and version 2 hosts apart", () => {
    const v1 = "1 1 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
    const unified = "2 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const mixed = cgroupHierarchyOf(parseMountInfo(v1 + unified));
    expect(mixed.version).toBe(1);
    expect(mixed.unified).toBe("/sys/fs/cgroup/unified");
    expect(mixed.controllers.get("cpuacct")).toBe("/sys/fs/cgroup/cpu,cpuacct");
    expect(cgroupHierarchyOf(parseMountInfo(unified)).version).toBe(2);
  });
});

describe("host figures", () => {
  it("translates shares to weights at both ends", () => {
    expect(cpuWeightOfShares(2)).toBe(1);
    expect(cpuWeightOfShares(262_144)).toBe(10_000);
    expect(cpuWeightOfShares(1024)).toBe(39);
  });

  it("names the bits of a capability mask", () => {
    expect(capabilitiesOfMask("0000000000200001")).toEqual(["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    expect(capabilitiesOfMask("000001fffeffffff")).not.toContain("CAP_SYS_RESOURCE");
  });
});
