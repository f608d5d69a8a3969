import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sleep, systemClock } from "@coracle/base";
import type { ContainerEventResponse } from "@coracle/api/cri";
import { cgroupFolders, detectCgroups, listMounts, processStartTime, run } from "@coracle/linux";
import { removeEverything } from "../src/index.ts";
import { RuntimeFixture, TEST_CGROUP, until } from "./runtime-fixture.ts";

describe("the container runtime", () => {
  let f: RuntimeFixture;
  beforeAll(async () => {
    f = await RuntimeFixture.start();
  });
  afterAll(() => f[Symbol.asyncDispose]());

  it("says what it is, and that runtime and network are ready", async () => {
    expect(await f.cri.call("Version", {})).toMatchObject({ runtimeName: "coracle", runtimeApiVersion: "v1" });
    const { status } = await f.cri.call("Status", {});
    expect(status?.conditions).toEqual([
      { type: "RuntimeReady", status: true },
      { type: "NetworkReady", status: true },
    ]);
    expect((await f.cri.call("RuntimeConfig", {})).linux?.cgroupDriver).toBe("CGROUPFS");
  });

  it("knows the loaded image by name and id", async () => {
    const { image: found } = await f.cri.call("ImageStatus", { image: { image: "localhost/busybox:1" } });
    expect(found?.repoTags).toEqual(["localhost/busybox:1"]);
    expect(found?.uid).toEqual({});
    expect((await f.cri.call("ImageStatus", { image: { image: found?.id ?? "" } })).image?.id).toBe(found?.id);
    expect((await f.cri.call("ImageStatus", { image: { image: "localhost/none" } })).image).toBeUndefined();
  });

  it("runs a program in a pod of its own: address, host name, files, log, exit code", async () => {
    const p = await f.pod("one");
    const { status } = await f.cri.call("PodSandboxStatus", { podSandboxId: p.sandbox });
    expect(status?.network?.ip).toMatch(/^10\.77\.0\.\d+$/);
    const id = await p.add(
      "main",
      "hostname; cat /etc/resolv.conf; echo $FROM_IMAGE $OWN; ls /gone /opaque; echo bad >&2; exit 3",
      {
        envs: [{ key: "OWN", value: Buffer.from("2") }],
      },
    );
    expect(await f.exited(id)).toMatchObject({ exitCode: 3, reason: "Error" });
    const log = await p.log("main");
    expect(log).toContain("one\nsearch default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n1 2\n");
    expect(log).toContain("bad");
    expect(log).toContain("ls: /gone: No such file or directory");
    expect(log).toMatch(/\/opaque:\nnew\n/);
    await p.remove();
  });

  it("connects pods with each other, and the node with pods", async () => {
    const server = await f.pod("server");
    await server.add("main", "while true; do echo hello-$(hostname) | nc -l -p 8080; done");
    const { status } = await f.cri.call("PodSandboxStatus", { podSandboxId: server.sandbox });
    const ip = status?.network?.ip ?? "";
    const client = await f.pod("client");
    const id = await client.add("main", `until nc ${ip} 8080 </dev/null; do sleep 0.05; done`);
    expect(await f.exited(id)).toMatchObject({ reason: "Completed" });
    expect(await client.log("main")).toBe("hello-server\n");
    const here = await until(
      "an answer",
      async () => (await run("busybox", ["nc", ip, "8080"], { input: "", allowFailure: true })).stdout || undefined,
    );
    expect(here).toBe("hello-server\n");
    await Promise.all([server.remove(), client.remove()]);
  });

  it("runs commands beside: output, exit code, missing programs, timeouts", async () => {
    const p = await f.pod("exec");
    const containerId = await p.add("main", "sleep 1000");
    const run1 = await f.cri.call("ExecSync", {
      containerId,
      cmd: ["sh", "-c", "echo out; echo err >&2; exit 12"],
      timeout: 5,
    });
    expect([run1.stdout?.toString(), run1.stderr?.toString(), run1.exitCode]).toEqual(["out\n", "err\n", 12]);
    expect((await f.cri.call("ExecSync", { containerId, cmd: ["sh", "-c", "kill -9 $$"] })).exitCode).toBe(137);
    await expect(f.cri.call("ExecSync", { containerId, cmd: ["/no/such"] })).rejects.toThrow(
      /failed to exec in container/,
    );
    await expect(f.cri.call("ExecSync", { containerId, cmd: ["sleep", "100"], timeout: 1 })).rejects.toMatchObject({
      code: 4,
    });
    await expect(f.cri.call("ExecSync", { containerId: "nope", cmd: ["true"] })).rejects.toMatchObject({ code: 5 });
    await p.remove();
  });

  it("runs as the user it is told, with no more rights than told", async () => {
    const p = await f.pod("user");
    const id = await p.add("main", "id; touch /x; grep CapEff /proc/self/status", {
      linux: {
        securityContext: {
          runAsUsername: "web",
          readonlyRootfs: true,
          supplementalGroups: [77],
          capabilities: { dropCapabilities: ["ALL"] },
          namespaceOptions: { pid: "CONTAINER" },
          seccomp: { profileType: "RuntimeDefault" },
          noNewPrivs: true,
        },
      },
    });
    await f.exited(id);
    const log = await p.log("main");
    expect(log).toMatch(/uid=33\(web\) gid=33\(web\) groups=33\(web\),44\(extra\),77/);
    expect(log).toContain("touch: /x: Read-only file system");
    expect(log).toContain("CapEff:\t0000000000000000");
    await p.remove();
  });

  it("runs privileged containers on a host that lacks a capability", async () => {
    const p = await f.pod("privileged");
    const id = await p.add("main", "mount -t tmpfs none /tmp && ls /dev/vda /dev/null && echo done", {
      linux: { securityContext: { privileged: true } },
    });
    await f.exited(id);
    expect(await p.log("main")).toContain("done");
    await p.remove();
  });

  it("says that memory ran out", async () => {
    const p = await f.pod("oom");
    const id = await p.add("main", "x=a; while true; do x=$x$x$x; done", {
      linux: { resources: { memoryLimitInBytes: 24 << 20 } },
    });
    expect(await f.exited(id)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    await p.remove();
  });

  it("asks before it kills, and says how it ended", async () => {
    const p = await f.pod("stop");
    const polite = await p.add("polite", "trap 'echo bye; exit 5' TERM; while true; do sleep 0.05; done");
    const deaf = await p.add("deaf", "trap '' TERM; while true; do sleep 0.05; done");
    await sleep(systemClock, 200);
    await f.cri.call("StopContainer", { containerId: polite, timeout: 10 });
    expect(await f.statusOf(polite)).toMatchObject({ exitCode: 5, state: "CONTAINER_EXITED" });
    await f.cri.call("StopContainer", { containerId: deaf, timeout: 1 });
    expect(await f.statusOf(deaf)).toMatchObject({ exitCode: 137, reason: "Error" });
    await p.remove();
  });

  it("tells why a program cannot start", async () => {
    const p = await f.pod("nostart");
    await expect(p.add("main", "", { command: ["/no/such/program"] })).rejects.toThrow(
      /OCI runtime create failed.*\/no\/such\/program/,
    );
    const { containers } = await f.cri.call("ListContainers", { filter: { podSandboxId: p.sandbox } });
    expect(await f.statusOf(containers?.[0]?.id ?? "")).toMatchObject({
      state: "CONTAINER_EXITED",
      exitCode: 128,
      reason: "StartError",
    });
    await p.remove();
  });

  it("shares process numbers in a pod that asks for it", async () => {
    const security = { namespaceOptions: { pid: "POD" as const } };
    const p = await f.pod("shared", {
      linux: { cgroupParent: `${TEST_CGROUP}/pod-shared`, securityContext: security },
    });
    await p.add("a", "exec sleep 4321", { linux: { securityContext: security } });
    // A program that has just begun may not have its words yet: /proc shows its name alone.
    const b = await p.add("b", "until ps | grep -q 'sleep 432[1]'; do :; done; ps", {
      linux: { securityContext: security },
    });
    await f.exited(b);
    expect(await p.log("b")).toMatch(/(\/pause -P|\[pause\])[^]*sleep 4321/);
    await p.remove();
  });

  it("tells listeners of every change", async () => {
    const stream = f.cri.events();
    const seen: ContainerEventResponse[] = [];
    stream.on("data", (event: ContainerEventResponse) => seen.push(event));
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("metadata", resolve));
    const p = await f.pod("events");
    const id = await p.add("main", "exit 9");
    await until("the stop", async () =>
      seen.some((e) => e.containerId === id && e.containerEventType === "CONTAINER_STOPPED_EVENT"),
    );
    expect(seen.filter((e) => e.containerId === id).map((e) => e.containerEventType)).toEqual([
      "CONTAINER_CREATED_EVENT",
      "CONTAINER_STARTED_EVENT",
      "CONTAINER_STOPPED_EVENT",
    ]);
    expect(seen.at(-1)?.containersStatuses?.[0]).toMatchObject({ id, exitCode: 9 });
    await p.remove();
    await until("the pod's end", async () =>
      seen.some((e) => e.containerId === p.sandbox && e.containerEventType === "CONTAINER_DELETED_EVENT"),
    );
    stream.cancel();
  });

  it("measures what containers and pods use", async () => {
    const p = await f.pod("stats");
    const containerId = await p.add("main", "sleep 1000");
    const { stats } = await f.cri.call("ContainerStats", { containerId });
    expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000);
    expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0);
    const podStats = await f.cri.call("PodSandboxStats", { podSandboxId: p.sandbox });
    expect(podStats.stats?.linux?.network?.defaultInterface?.name).toBe("eth0");
    await f.cri.call("UpdateContainerResources", {
      containerId,
      linux: { memoryLimitInBytes: 64 << 20, cpuShares: 77 },
    });
    expect((await f.statusOf(containerId)).resources?.linux?.memoryLimitInBytes).toBe(64 << 20);
    await p.remove();
  });

  it("reopens a log that was moved away", async () => {
    const p = await f.pod("reopen");
    const containerId = await p.add("main", "while true; do echo x; sleep 0.05; done");
    const file = join(p.config.logDirectory ?? "", "main.log");
    await until("the log", async () => existsSync(file));
    await run("mv", [file, `${file}.1`]);
    await f.cri.call("ReopenContainerLog", { containerId });
    await until("new lines", async () => (await readFile(file, "utf8")).includes("x"));
    await p.remove();
  });

  it("leaves containers alone when it ends, and learns afterwards what ended meanwhile", async () => {
    const p = await f.pod("restart");
    const stays = await p.add("stays", "while true; do echo tick; sleep 0.1; done");
    const ends = await p.add("ends", "sleep 0.4; exit 7");
    const info = JSON.parse(
      (await f.cri.call("ContainerStatus", { containerId: stays, verbose: true })).info?.["info"] ?? "{}",
    ) as { pid: number };
    const before = processStartTime(info.pid);
    await f.stop();
    await sleep(systemClock, 700);
    await f.run();
    expect(processStartTime(info.pid)).toBe(before);
    expect(await f.statusOf(stays)).toMatchObject({ state: "CONTAINER_RUNNING" });
    expect(await f.exited(ends)).toMatchObject({ exitCode: 7 });
    expect((await f.cri.call("ExecSync", { containerId: stays, cmd: ["echo", "still"] })).stdout?.toString()).toBe(
      "still\n",
    );
    await p.remove();
  });

  it("publishes ports of the node", async () => {
    const p = await f.pod("ports", { portMappings: [{ protocol: "TCP", containerPort: 8080, hostPort: 18080 }] });
    await p.add("main", "while true; do echo published | nc -l -p 8080; done");
    const answer = await until(
      "an answer",
      async () =>
        (await run("busybox", ["nc", "127.0.0.1", "18080"], { input: "", allowFailure: true })).stdout || undefined,
    );
    expect(answer).toBe("published\n");
    await p.remove();
  });

  it("leaves nothing behind when all pods are gone", async () => {
    const { items } = await f.cri.call("ListPodSandbox", {});
    for (const item of items ?? []) await f.cri.call("RemovePodSandbox", { podSandboxId: item.id ?? "" });
    await expectNothingLeft();
    expect((await readdir(join(f.folder, "cni", "addresses"))).length).toBe(0);
  });

  it("takes everything away at once, however it ended", async () => {
    const p = await f.pod("leftover");
    await p.add("main", "sleep 1000");
    await p.add("other", "trap '' TERM; sleep 1000");
    await f.stop();
    await removeEverything({ stateDir: f.stateDir, network: f.network });
    await removeEverything({ stateDir: f.stateDir, network: f.network });
    await expectNothingLeft();
    expect(existsSync(f.stateDir)).toBe(false);
    await f.run();
    expect((await f.cri.call("ListContainers", {})).containers ?? []).toEqual([]);
  });

  async function expectNothingLeft(): Promise<void> {
    await until(
      "processes to be gone",
      async () => !(await run("ps", ["-eo", "args"])).stdout.includes(join(f.stateDir, "bundles")),
      3000,
    );
    const mounts = (await listMounts())
      .map((m) => m.mountPoint)
      .filter((path) => path.startsWith(f.folder) && path !== join(f.stateDir, "ns"));
    expect(mounts).toEqual([]);
    const hierarchy = await detectCgroups();
    // Pods' own cgroups are the kubelet's to remove; nothing may be below them.
    for (const root of cgroupFolders(hierarchy, TEST_CGROUP)) {
      const { stdout } = existsSync(root) ? await run("find", [root, "-mindepth", "2", "-type", "d"]) : { stdout: "" };
      expect(stdout).toBe("");
      await run("find", [root, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], { allowFailure: true });
    }
    expect((await run("ip", ["-o", "link"])).stdout).not.toContain("veth");
  }
});
