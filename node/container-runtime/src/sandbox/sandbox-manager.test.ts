import { describe, expect, it } from "vitest";
import { checkSysctls, resolvConfOf } from "./sandbox-manager.ts";

describe("a pod's sysctls", () => {
  const own = { network: "POD", ipc: "POD" } as const;
  it.each([
    "net.core.somaxconn",
    "net/ipv4/ip_forward",
    "kernel.shm_rmid_forced",
    "kernel.msgmax",
    "fs.mqueue.msg_max",
  ])("may be %s", (name) => {
    expect(() => checkSysctls({ [name]: "1" }, own)).not.toThrow();
  });
  it.each([
    ["vm.swappiness", own],
    ["kernel.panic", own],
    ["net.core.somaxconn", { network: "NODE" }],
    ["kernel.msgmax", { ipc: "NODE" }],
  ] as const)("may not be %s with %j", (name, options) => {
    expect(() => checkSysctls({ [name]: "1" }, options)).toThrow(
      `sysctl "${name}" is not in a separate kernel namespace`,
    );
  });
});

describe("a pod's resolv.conf", () => {
  it("has searches, servers and options; without a configuration the node's is used", () => {
    expect(resolvConfOf({ servers: ["1.1.1.1", "8.8.8.8"], searches: ["a.b", "c"], options: ["ndots:5"] })).toBe(
      "search a.b c\nnameserver 1.1.1.1\nnameserver 8.8.8.8\noptions ndots:5\n",
    );
    expect(resolvConfOf({})).toBe("");
    expect(resolvConfOf(undefined)).toBeUndefined();
  });
});
