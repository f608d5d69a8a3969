import { spawn, type ChildProcess } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSeededRandom, sleep, systemClock } from "@coracle/base";
import { listMounts, processStartTime, run } from "@coracle/linux";
import { RuntimeFixture, until } from "./runtime-fixture.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

describe("a runtime that is killed", () => {
  let f: RuntimeFixture;
  let program = "";
  let child: ChildProcess | undefined;

  beforeAll(async () => {
    f = await RuntimeFixture.start();
    await f.stop();
    const out = join(f.folder, "program");
    await mkdir(out);
    await symlink(join(here, "../../../foundation/api/tables"), join(out, "tables"));
    program = join(out, "runtime.cjs");
    await build({
      entryPoints: [join(here, "runtime-process.ts")],
      outfile: program,
      bundle: true,
      platform: "node",
      format: "cjs",
      target: "node20",
      banner: { js: 'const __moduleUrl=require("node:url").pathToFileURL(__filename).href;' },
      define: { "import.meta.url": "__moduleUrl" },
      logLevel: "error",
    });
  });
  afterAll(async () => {
    await kill();
    await f[Symbol.asyncDispose]();
  });

  async function start(): Promise<void> {
    const process = spawn("node", [program, f.folder, f.socketPath], { stdio: ["ignore", "pipe", "inherit"] });
    child = process;
    await new Promise<void>((resolve, reject) => {
      process.stdout.once("data", () => resolve());
      process.once("exit", (code) => reject(new Error(`the runtime ended with ${code}`)));
    });
    f.reconnect();
  }
  async function kill(): Promise<void> {
    const process = child;
    child = undefined;
    if (process === undefined || process.exitCode !== null) return;
    const gone = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await gone;
  }
  const pidOf = async (containerId: string): Promise<number> => {
    const { info } = await f.cri.call("ContainerStatus", { containerId, verbose: true });
    return (JSON.parse(info?.["info"] ?? "{}") as { pid: number }).pid;
  };

  it("finds every container as it left it, however often", async () => {
    await start();
    const pod = await f.pod("kept");
    const kept = await pod.add("kept", "while true; do echo tick; sleep 0.1; done");
    const ends = await pod.add("ends", "sleep 1; exit 42");
    const pid = await pidOf(kept);
    const startTime = processStartTime(pid);
    const random = createSeededRandom(7);
    for (let round = 0; round < 5; round++) {
      // Work that the kill cuts off at some step; what becomes of the calls is not asked.
      const noise = Array.from({ length: 3 }, async (_, i) => {
        const other = await f.pod(`noise-${round}-${i}`);
        await other.add("main", "sleep 1000");
        await other.remove();
      });
      const settled = Promise.allSettled(noise);
      await sleep(systemClock, Math.floor(random.next() * 250));
      await kill();
      await settled;
      await start();
      expect(await pidOf(kept)).toBe(pid);
      expect(processStartTime(pid)).toBe(startTime);
      expect(await f.statusOf(kept)).toMatchObject({ state: "CONTAINER_RUNNING" });
      const { items = [] } = await f.cri.call("ListPodSandbox", {});
      await Promise.all(
        items
          .filter((item) => item.id !== pod.sandbox)
          .map((item) => f.cri.call("RemovePodSandbox", { podSandboxId: item.id ?? "" })),
      );
    }
    expect(await f.exited(ends)).toMatchObject({ exitCode: 42 });
    const { containers = [] } = await f.cri.call("ListContainers", {});
    expect(containers.map((container) => container.id).sort()).toEqual([kept, ends].sort());
    // What was cut off left nothing: one pod's namespaces, one container's root, one link, one supervisor.
    const mounts = (await listMounts()).map((m) => m.mountPoint).filter((path) => path.startsWith(f.stateDir));
    expect(mounts.filter((path) => path.endsWith("/rootfs"))).toHaveLength(1);
    expect(mounts.filter((path) => path.endsWith("/net"))).toHaveLength(1);
    expect((await run("ip", ["-o", "link"])).stdout.match(/veth/g)?.length).toBe(1);
    await until("orphans to go", async () => supervisors().then((count) => count === 1));
    await pod.remove();
    await until("the last to go", async () => supervisors().then((count) => count === 0));
  });

  async function supervisors(): Promise<number> {
    const { stdout } = await run("ps", ["-eo", "args"]);
    return stdout
      .split("\n")
      .filter((line) => line.startsWith("conmon") || line.includes("/conmon"))
      .filter((line) => line.includes(f.stateDir)).length;
  }
});
