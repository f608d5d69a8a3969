import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { run } from "@coracle/linux";
import { createExecPodNetwork } from "../src/index.ts";
import { RuntimeFixture } from "./runtime-fixture.ts";

const CNI_PLUGINS = "/usr/lib/cni";

describe("other parts in the same places", () => {
  let f: RuntimeFixture | undefined;
  afterEach(async () => {
    await f?.[Symbol.asyncDispose]();
    f = undefined;
  });

  it("runs containers with runc", async () => {
    f = await RuntimeFixture.start({ runtime: "runc" });
    const pod = await f.pod("runc");
    const containerId = await pod.add("main", "sleep 1000");
    const out = await f.cri.call("ExecSync", { containerId, cmd: ["sh", "-c", "echo hi; exit 4"] });
    expect([out.stdout?.toString(), out.exitCode]).toEqual(["hi\n", 4]);
    await expect(f.cri.call("ExecSync", { containerId, cmd: ["/no/such"] })).rejects.toThrow(/exec failed/);
    const oom = await pod.add("oom", "x=a; while true; do x=$x$x$x; done", {
      linux: { resources: { memoryLimitInBytes: 24 << 20 } },
    });
    expect(await f.exited(oom)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    await expect(pod.add("bad", "", { command: ["/no/such"] })).rejects.toThrow(
      /OCI runtime create failed.*no such file/,
    );
    await pod.remove();
  });

  it("connects pods by CNI plugins that are programs", async (context) => {
    if (!existsSync(join(CNI_PLUGINS, "ptp"))) return context.skip();
    const folder = await mkdtemp(join(tmpdir(), "cni-"));
    try {
      const confDir = join(folder, "net.d");
      const network = createExecPodNetwork({ confDir, binDirs: [CNI_PLUGINS] });
      expect(await network.notReady()).toBe("cni plugin not initialized");
      await mkdir(confDir);
      const ipam = { type: "host-local", dataDir: join(folder, "ipam"), ranges: [[{ subnet: "10.78.0.0/24" }]] };
      const plugins = [{ type: "ptp", ipam }];
      await writeFile(
        join(confDir, "10-test.conflist"),
        JSON.stringify({ cniVersion: "1.0.0", name: "test", plugins }),
      );
      f = await RuntimeFixture.start({ network });
      const pod = await f.pod("cni");
      const { status } = await f.cri.call("PodSandboxStatus", { podSandboxId: pod.sandbox });
      expect(status?.network?.ip).toMatch(/^10\.78\.0\.\d+$/);
      expect((await run("busybox", ["ping", "-c", "1", "-W", "2", status?.network?.ip ?? ""])).code).toBe(0);
      await pod.remove();
      expect((await run("ip", ["-o", "link"])).stdout).not.toContain("veth");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
