import { describe, expect, it } from "vitest";
import { DEFAULT_CAPABILITIES, planCapabilities } from "./capabilities.ts";
import { planArguments, planEnvironment, planStopSignal } from "./process.ts";
import { planResources } from "./resources.ts";
import { defaultSeccompProfile } from "./seccomp.ts";
import { parseAccounts, resolveUser } from "./user.ts";

const image = { Entrypoint: ["/entry"], Cmd: ["a", "b"], Env: ["A=1", "B=2"] };

describe("command and arguments", () => {
  it.each([
    [{}, ["/entry", "a", "b"]],
    [{ args: ["x"] }, ["/entry", "x"]],
    [{ command: ["/c"] }, ["/c"]],
    [{ command: ["/c"], args: ["x"] }, ["/c", "x"]],
  ])("%j over entrypoint and cmd is %j", (config, expected) => {
    expect(planArguments(config, image)).toEqual(expected);
  });

  it("says when there is nothing to run", () => {
    expect(() => planArguments({}, {})).toThrow("no command specified");
  });

  it("puts the container's variables over the image's", () => {
    const env = planEnvironment({ envs: [{ key: "B", value: Buffer.from("3=4") }, { key: "E" }], tty: true }, image, {
      hostname: "h",
      home: "/r",
    });
    expect(env).toEqual(expect.arrayContaining(["A=1", "B=3=4", "E=", "HOSTNAME=h", "HOME=/r", "TERM=xterm"]));
    expect(env).not.toContain("B=2");
  });

  it.each([
    [{}, {}, "SIGTERM"],
    [{}, { StopSignal: "QUIT" }, "SIGQUIT"],
    [{}, { StopSignal: "37" }, 37],
    [{}, { StopSignal: "SIGRTMIN+3" }, 37],
    [{ stopSignal: "SIGUSR1" as const }, { StopSignal: "QUIT" }, "SIGUSR1"],
    [{ stopSignal: "SIGRTMINPLUS3" as const }, {}, 37],
  ])("stop signal of %j over %j is %s", (config, of, expected) => {
    expect(planStopSignal(config, of)).toBe(expected);
  });
});

describe("capabilities", () => {
  const bounding = [...DEFAULT_CAPABILITIES, "CAP_NET_ADMIN", "CAP_SYS_ADMIN"];
  it("drops ALL before adding single ones", () => {
    expect(planCapabilities({ addCapabilities: ["NET_ADMIN"], dropCapabilities: ["ALL"] }, false, bounding)).toEqual([
      "CAP_NET_ADMIN",
    ]);
  });
  it("adds ALL, and never more than the host has", () => {
    expect(planCapabilities({ addCapabilities: ["ALL"] }, false, bounding)).toEqual(bounding);
    expect(planCapabilities({ addCapabilities: ["SYS_RESOURCE"] }, false, bounding)).toEqual(DEFAULT_CAPABILITIES);
    expect(planCapabilities({ dropCapabilities: ["ALL"] }, true, bounding)).toEqual(bounding);
  });
});

describe("users", () => {
  const accounts = parseAccounts(
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/www:/bin/sh\nbad:line\n",
    "wheel:x:10:web,other\nweb:x:34:\n",
  );
  it.each([
    ["", {}, { uid: 0, gid: 0, home: "/root" }],
    ["web", {}, { uid: 33, gid: 34, additionalGids: [34, 10], home: "/www" }],
    ["33:10", {}, { uid: 33, gid: 10 }],
    ["web:wheel", {}, { uid: 33, gid: 10 }],
    ["1234", {}, { uid: 1234, gid: 0, additionalGids: [0], home: "/" }],
    ["web", { runAsUser: {} }, { uid: 0, gid: 0 }],
    [
      "",
      { runAsUser: { value: 33 }, runAsGroup: { value: 7 }, supplementalGroups: [8] },
      { uid: 33, gid: 7, additionalGids: [7, 8, 10] },
    ],
    [
      "",
      { runAsUser: { value: 33 }, supplementalGroupsPolicy: "Strict" as const, supplementalGroups: [8] },
      { additionalGids: [34, 8] },
    ],
  ])("image user %j with %j is %j", (user, context, expected) => {
    expect(resolveUser(accounts, user, context)).toMatchObject(expected);
  });
  it("refuses a name the image does not know", () => {
    expect(() => resolveUser(accounts, "nobody", {})).toThrow(
      "unable to find user nobody: no matching entries in passwd file",
    );
  });
});

describe("resources and seccomp", () => {
  it("leaves out what is zero, and swap where the host cannot limit it", () => {
    expect(
      planResources({ cpuShares: 2, memoryLimitInBytes: 100, memorySwapLimitInBytes: 100 }, { swap: false }),
    ).toEqual({ memory: { limit: 100 }, cpu: { shares: 2 } });
    expect(planResources(undefined, { swap: true })).toEqual({ cpu: {} });
  });
  it("refuses mounts unless the container administers the system", () => {
    const refused = (caps: string[]): readonly string[] => defaultSeccompProfile(caps).syscalls?.[0]?.names ?? [];
    expect(refused([])).toContain("mount");
    expect(refused(["CAP_SYS_ADMIN"])).not.toContain("mount");
    expect(defaultSeccompProfile([]).syscalls?.filter((rule) => rule.names[0] === "clone")).toHaveLength(7);
  });
});
