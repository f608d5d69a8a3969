import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLogger, systemClock, sleep, type Logger } from "@coracle/base";
import type { ContainerConfig, ContainerEventResponse, ContainerStatus, PodSandboxConfig } from "@coracle/api/cri";
import { cgroupFolders, detectCgroups, listMounts, processStartTime, run } from "@coracle/linux";
// The one place where both are in the same room, as in the composition root.
import { openPodNetwork, type RoutedPodNetwork } from "../../cni/src/index.ts";
import { importImage, removeEverything, runContainerRuntime } from "../src/index.ts";
import { buildBusyboxImage, type BusyboxImage } from "./busybox-image.ts";
import { connectCri, type CriClient } from "./cri-client.ts";

const CGROUP = `/coracle-test-${process.pid}`;
const silent: Logger = createLogger({
  write: (line) => (process.env["VERBOSE"] === undefined ? undefined : process.stderr.write(line)),
  level: "debug",
});

interface Running {
  readonly stop: () => Promise<void>;
}

async function until<T>(what: string, look: () => Promise<T | undefined | false>, withinMs = 10_000): Promise<T> {
  const end = systemClock.monotonicMs() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as T;
    if (systemClock.monotonicMs() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(systemClock, 10);
  }
}

describe("the container runtime", () => {
  let folder = "";
  let image: BusyboxImage;
  let network: RoutedPodNetwork;
  let cri: CriClient;
  let running: Running;
  let socketPath = "";
  let attempt = 0;

  async function startRuntime(): Promise<Running> {
    const end = new AbortController();
    let ready = (): void => {};
    const isReady = new Promise<void>((resolve) => (ready = resolve));
    const done = runContainerRuntime({
      socketPath,
      rootDir: join(folder, "root"),
      stateDir: join(folder, "state"),
      network,
      signal: end.signal,
      logger: silent,
      onReady: ready,
    });
    await Promise.race([isReady, done]);
    return {
      stop: async () => {
        end.abort();
        await done;
      },
    };
  }

  beforeAll(async () => {
    // Pods get routes and rules: that is for a network namespace of a test only.
    const hasOther = (await run("ip", ["-o", "link"])).stdout
      .trim()
      .split("\n")
      .some((line) => !/ lo:/.test(line) && / eth/.test(line));
    if (hasOther)
      throw new Error("run this in a network namespace of its own: unshare --net sh -c 'ip link set lo up; …'");
    folder = await mkdtemp(join(tmpdir(), "cr-"));
    image = await buildBusyboxImage(join(folder, "image"));
    socketPath = join(folder, "cri.sock");
    network = await openPodNetwork({ dataDir: join(folder, "cni"), podCidr: "10.77.0.0/24" });
    running = await startRuntime();
    cri = connectCri(socketPath);
    expect(await importImage(socketPath, image.archive)).toEqual(["localhost/busybox:1"]);
  });

  afterAll(async () => {
    cri[Symbol.dispose]();
    await running.stop();
    await network.close();
    await removeEverything({ stateDir: join(folder, "state"), network });
    await rm(folder, { recursive: true, force: true });
  });

  const sandboxConfig = (name: string, more: Partial<PodSandboxConfig> = {}): PodSandboxConfig => ({
    metadata: { name, uid: `uid-${name}`, namespace: "default", attempt: attempt++ },
    hostname: name,
    logDirectory: join(folder, "logs", name),
    dnsConfig: { servers: ["10.96.0.10"], searches: ["default.svc.cluster.local"], options: ["ndots:5"] },
    labels: { name },
    linux: { cgroupParent: `${CGROUP}/pod-${name}`, securityContext: {} },
    ...more,
  });
  const containerConfig = (name: string, script: string, more: Partial<ContainerConfig> = {}): ContainerConfig => ({
    metadata: { name, attempt: 0 },
    image: { image: "localhost/busybox:1" },
    command: ["sh", "-c", script],
    logPath: `${name}.log`,
    linux: { resources: {}, securityContext: { namespaceOptions: { pid: "CONTAINER" } } },
    ...more,
  });

  interface Pod {
    readonly sandbox: string;
    readonly config: PodSandboxConfig;
    add(name: string, script: string, more?: Partial<ContainerConfig>): Promise<string>;
    log(name: string): Promise<string>;
    remove(): Promise<void>;
  }
  async function pod(name: string, more: Partial<PodSandboxConfig> = {}): Promise<Pod> {
    const config = sandboxConfig(name, more);
    const { podSandboxId: sandbox = "" } = await cri.call("RunPodSandbox", { config });
    return {
      sandbox,
      config,
      async add(container, script, extra = {}) {
        const { containerId = "" } = await cri.call("CreateContainer", {
          podSandboxId: sandbox,
          config: containerConfig(container, script, extra),
          sandboxConfig: config,
        });
        await cri.call("StartContainer", { containerId });
        return containerId;
      },
      log: async (container) =>
        (await readFile(join(config.logDirectory ?? "", `${container}.log`), "utf8")).replaceAll(
          /^\S+ (stdout|stderr) [FP] /gm,
          "",
        ),
      async remove() {
        await cri.call("StopPodSandbox", { podSandboxId: sandbox });
        await cri.call("RemovePodSandbox", { podSandboxId: sandbox });
      },
    };
  }
  const statusOf = async (containerId: string): Promise<ContainerStatus> =>
    (await cri.call("ContainerStatus", { containerId })).status ?? {};
  const exited = (id: string): Promise<ContainerStatus> =>
    until("the exit", async () => {
      const status = await statusOf(id);
      return status.state === "CONTAINER_EXITED" && status;
    });

  it("says what it is, and that runtime and network are ready", async () => {
    expect(await cri.call("Version", {})).toMatchObject({ runtimeName: "coracle", runtimeApiVersion: "v1" });
    const { status } = await cri.call("Status", {});
    expect(status?.conditions).toEqual([
      { type: "RuntimeReady", status: true },
      { type: "NetworkReady", status: true },
    ]);
    expect((await cri.call("RuntimeConfig", {})).linux?.cgroupDriver).toBe("CGROUPFS");
  });

  it("knows the loaded image by name and id", async () => {
    const { image: found } = await cri.call("ImageStatus", { image: { image: "localhost/busybox:1" } });
    expect(found?.repoTags).toEqual(["localhost/busybox:1"]);
    expect(found?.uid).toEqual({});
    expect((await cri.call("ImageStatus", { image: { image: found?.id ?? "" } })).image?.id).toBe(found?.id);
    expect((await cri.call("ImageStatus", { image: { image: "localhost/none" } })).image).toBeUndefined();
  });

  it("runs a program in a pod of its own: address, host name, files, log, exit code", async () => {
    const p = await pod("one");
    const { status } = await cri.call("PodSandboxStatus", { podSandboxId: p.sandbox });
    expect(status?.network?.ip).toMatch(/^10\.77\.0\.\d+$/);
    const id = await p.add(
      "main",
      "hostname; cat /etc/resolv.conf; echo $FROM_IMAGE $OWN; ls /gone /opaque; echo bad >&2; exit 3",
      {
        envs: [{ key: "OWN", value: Buffer.from("2") }],
      },
    );
    expect(await exited(id)).toMatchObject({ exitCode: 3, reason: "Error" });
    const log = await p.log("main");
    expect(log).toContain("one\nsearch default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n1 2\n");
    expect(log).toContain("bad");
    expect(log).toContain("ls: /gone: No such file or directory");
    expect(log).toMatch(/\/opaque:\nnew\n/);
    await p.remove();
  });

  it("connects pods with each other, and the node with pods", async () => {
    const server = await pod("server");
    await server.add("main", "while true; do echo hello-$(hostname) | nc -l -p 8080; done");
    const { status } = await cri.call("PodSandboxStatus", { podSandboxId: server.sandbox });
    const ip = status?.network?.ip ?? "";
    const client = await pod("client");
    const id = await client.add("main", `until nc ${ip} 8080 </dev/null; do sleep 0.05; done`);
    expect(await exited(id)).toMatchObject({ exitCode: 0, reason: "Completed" });
    expect(await client.log("main")).toBe("hello-server\n");
    const here = await until(
      "an answer",
      async () => (await run("busybox", ["nc", ip, "8080"], { input: "", allowFailure: true })).stdout || undefined,
    );
    expect(here).toBe("hello-server\n");
    await Promise.all([server.remove(), client.remove()]);
  });

  it("runs commands beside: output, exit code, missing programs, timeouts", async () => {
    const p = await pod("exec");
    const containerId = await p.add("main", "sleep 1000");
    const run1 = await cri.call("ExecSync", {
      containerId,
      cmd: ["sh", "-c", "echo out; echo err >&2; exit 12"],
      timeout: 5,
    });
    expect([run1.stdout?.toString(), run1.stderr?.toString(), run1.exitCode]).toEqual(["out\n", "err\n", 12]);
    expect((await cri.call("ExecSync", { containerId, cmd: ["sh", "-c", "kill -9 $$"] })).exitCode).toBe(137);
    await expect(cri.call("ExecSync", { containerId, cmd: ["/no/such"] })).rejects.toThrow(
      /failed to exec in container/,
    );
    await expect(cri.call("ExecSync", { containerId, cmd: ["sleep", "100"], timeout: 1 })).rejects.toMatchObject({
      code: 4,
    });
    await expect(cri.call("ExecSync", { containerId: "nope", cmd: ["true"] })).rejects.toMatchObject({ code: 5 });
    await p.remove();
  });

  it("runs as the user it is told, with no more rights than told", async () => {
    const p = await pod("user");
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
    await exited(id);
    const log = await p.log("main");
    expect(log).toMatch(/uid=33\(web\) gid=33\(web\) groups=33\(web\),44\(extra\),77/);
    expect(log).toContain("touch: /x: Read-only file system");
    expect(log).toContain("CapEff:\t0000000000000000");
    await p.remove();
  });

  it("runs privileged containers on a host that lacks a capability", async () => {
    const p = await pod("privileged");
    const id = await p.add("main", "mount -t tmpfs none /tmp && ls /dev/vda /dev/null && echo done", {
      linux: { securityContext: { privileged: true } },
    });
    await exited(id);
    expect(await p.log("main")).toContain("done");
    await p.remove();
  });

  it("says that memory ran out", async () => {
    const p = await pod("oom");
    const id = await p.add("main", "x=a; while true; do x=$x$x$x; done", {
      linux: { resources: { memoryLimitInBytes: 24 << 20 } },
    });
    expect(await exited(id)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    await p.remove();
  });

  it("asks before it kills, and says how it ended", async () => {
    const p = await pod("stop");
    const polite = await p.add("polite", "trap 'echo bye; exit 5' TERM; while true; do sleep 0.05; done");
    const deaf = await p.add("deaf", "trap '' TERM; while true; do sleep 0.05; done");
    await sleep(systemClock, 200);
    await cri.call("StopContainer", { containerId: polite, timeout: 10 });
    expect(await statusOf(polite)).toMatchObject({ exitCode: 5, state: "CONTAINER_EXITED" });
    await cri.call("StopContainer", { containerId: deaf, timeout: 1 });
    expect(await statusOf(deaf)).toMatchObject({ exitCode: 137, reason: "Error" });
    await p.remove();
  });

  it("tells why a program cannot start", async () => {
    const p = await pod("nostart");
    await expect(p.add("main", "", { command: ["/no/such/program"] })).rejects.toThrow(
      /OCI runtime create failed.*\/no\/such\/program/,
    );
    const { containers } = await cri.call("ListContainers", { filter: { podSandboxId: p.sandbox } });
    expect(await statusOf(containers?.[0]?.id ?? "")).toMatchObject({
      state: "CONTAINER_EXITED",
      exitCode: 128,
      reason: "StartError",
    });
    await p.remove();
  });

  it("shares process numbers in a pod that asks for it", async () => {
    const security = { namespaceOptions: { pid: "POD" as const } };
    const p = await pod("shared", { linux: { cgroupParent: `${CGROUP}/pod-shared`, securityContext: security } });
    await p.add("a", "exec sleep 4321", { linux: { securityContext: security } });
    const b = await p.add("b", "ps", { linux: { securityContext: security } });
    await exited(b);
    expect(await p.log("b")).toMatch(/\/pause -P[^]*sleep 4321/);
    await p.remove();
  });

  it("tells listeners of every change", async () => {
    const stream = cri.events();
    const seen: ContainerEventResponse[] = [];
    stream.on("data", (event: ContainerEventResponse) => seen.push(event));
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("metadata", resolve));
    const p = await pod("events");
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
    const p = await pod("stats");
    const containerId = await p.add("main", "sleep 1000");
    const { stats } = await cri.call("ContainerStats", { containerId });
    expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(10_000);
    expect(stats?.cpu?.usageCoreNanoSeconds?.value).toBeGreaterThan(0);
    const podStats = await cri.call("PodSandboxStats", { podSandboxId: p.sandbox });
    expect(podStats.stats?.linux?.network?.defaultInterface?.name).toBe("eth0");
    await cri.call("UpdateContainerResources", { containerId, linux: { memoryLimitInBytes: 64 << 20, cpuShares: 77 } });
    expect((await statusOf(containerId)).resources?.linux?.memoryLimitInBytes).toBe(64 << 20);
    await p.remove();
  });

  it("reopens a log that was moved away", async () => {
    const p = await pod("reopen");
    const containerId = await p.add("main", "while true; do echo x; sleep 0.05; done");
    const file = join(p.config.logDirectory ?? "", "main.log");
    await until("the log", async () => existsSync(file));
    await run("mv", [file, `${file}.1`]);
    await cri.call("ReopenContainerLog", { containerId });
    await until("new lines", async () => (await readFile(file, "utf8")).includes("x"));
    await p.remove();
  });

  it("leaves containers alone when it ends, and learns afterwards what ended meanwhile", async () => {
    const p = await pod("restart");
    const stays = await p.add("stays", "while true; do echo tick; sleep 0.1; done");
    const ends = await p.add("ends", "sleep 0.4; exit 7");
    const info = JSON.parse(
      (await cri.call("ContainerStatus", { containerId: stays, verbose: true })).info?.["info"] ?? "{}",
    ) as { pid: number };
    const before = processStartTime(info.pid);
    await running.stop();
    await sleep(systemClock, 700);
    running = await startRuntime();
    cri[Symbol.dispose]();
    cri = connectCri(socketPath);
    expect(processStartTime(info.pid)).toBe(before);
    expect(await statusOf(stays)).toMatchObject({ state: "CONTAINER_RUNNING" });
    expect(await exited(ends)).toMatchObject({ exitCode: 7 });
    expect((await cri.call("ExecSync", { containerId: stays, cmd: ["echo", "still"] })).stdout?.toString()).toBe(
      "still\n",
    );
    await p.remove();
  });

  it("publishes ports of the node", async () => {
    const p = await pod("ports", { portMappings: [{ protocol: "TCP", containerPort: 8080, hostPort: 18080 }] });
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
    const { items } = await cri.call("ListPodSandbox", {});
    for (const item of items ?? []) await cri.call("RemovePodSandbox", { podSandboxId: item.id ?? "" });
    await expectNothingLeft();
    expect((await readdir(join(folder, "cni", "addresses"))).length).toBe(0);
  });

  it("takes everything away at once, however it ended", async () => {
    const p = await pod("leftover");
    await p.add("main", "sleep 1000");
    await p.add("other", "trap '' TERM; sleep 1000");
    await running.stop();
    await removeEverything({ stateDir: join(folder, "state"), network });
    await removeEverything({ stateDir: join(folder, "state"), network });
    await expectNothingLeft();
    expect(existsSync(join(folder, "state"))).toBe(false);
    running = await startRuntime();
    expect((await cri.call("ListContainers", {})).containers ?? []).toEqual([]);
  });

  async function expectNothingLeft(): Promise<void> {
    await until(
      "processes to be gone",
      async () => !(await run("ps", ["-eo", "args"])).stdout.includes(join(folder, "state", "bundles")),
      3000,
    );
    const mounts = (await listMounts())
      .map((m) => m.mountPoint)
      .filter((path) => path.startsWith(folder) && path !== join(folder, "state", "ns"));
    expect(mounts).toEqual([]);
    const hierarchy = await detectCgroups();
    // Pods' own cgroups are the kubelet's to remove; nothing may be below them.
    for (const root of cgroupFolders(hierarchy, CGROUP)) {
      const { stdout } = existsSync(root) ? await run("find", [root, "-mindepth", "2", "-type", "d"]) : { stdout: "" };
      expect(stdout).toBe("");
      await run("find", [root, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], { allowFailure: true });
    }
    expect((await run("ip", ["-o", "link"])).stdout).not.toContain("veth");
  }
});
