import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "@coracle/linux";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import {
  busyboxImage,
  coracleFile,
  createTestHost,
  eventually,
  hostLeftovers,
  runCoracle,
  snapshotHost,
  startCluster,
  startRegistry,
  type HostSnapshot,
  type Registry,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const lines = (text: string): string[] => text.trimEnd().split("\n");

describe("a command that cannot do what it was told says why in one line, and leaves nothing", () => {
  let host: TestHost;
  let before: HostSnapshot;
  beforeAll(async () => {
    host = await createTestHost();
    before = await snapshotHost(host);
  });
  afterAll(async () => {
    await runCoracle(host, ["down", "--name", host.name]);
    await host[Symbol.asyncDispose]();
  });
  const up = (...flags: string[]): string[] => ["up", "--ephemeral", "--detach", "--name", host.name, ...flags];

  it.each([
    [["up", "--no-such-flag"], "unknown option '--no-such-flag'"],
    [["up", "--nodes", "many"], "It must be a number"],
    [["up", "--name", "Not_A_Name"], "It must be lower-case letters"],
    [["up", "--proxy-mode", "magic"], "iptables, nftables"],
    [["no-such-command"], "unknown command 'no-such-command'"],
    [["image", "load"], "missing required argument 'file'"],
    [["kube-scheduler", "--no-such-flag"], "unknown flag: --no-such-flag"],
    [["kube-apiserver", "--secure-port=many"], "secure-port"],
  ])("%j: exit code 2", async (args, message) => {
    const { code, stdout, stderr } = await runCoracle(host, args);
    expect({ code, stdout, lines: lines(stderr).length }).toEqual({ code: 2, stdout: "", lines: 1 });
    expect(stderr).toContain(message);
  });

  it.each([
    [6443, "port 6443 is in use; choose another with --secure-port"],
    [10250, "port 10250 is in use"],
  ])("port %d is taken", async (port, message) => {
    const taker = host.spawn("socat", [`TCP4-LISTEN:${port},fork,reuseaddr`, "EXEC:true"]);
    await eventually("the port is taken", async () => {
      const { stdout } = await host.run("ss", ["-ltnH", `sport = :${port}`]);
      return stdout !== "";
    });
    const { code, stderr } = await runCoracle(host, up());
    taker.kill();
    await taker.exited;
    expect({ code, stderr }).toEqual({ code: 1, stderr: `coracle: ${message}\n` });
  });

  it("without root", async () => {
    // A home and files that everybody may read.
    const { code, stderr } = await runAsNobody(host, up());
    expect(code).toBe(1);
    expect(lines(stderr)).toEqual([expect.stringMatching(/^coracle: .*root/)]);
  });

  it("without the programs that a node needs; doctor names the command that mends it", async () => {
    const withoutPrograms = (args: readonly string[]): Promise<{ code: number; stderr: string }> =>
      host.run("env", ["PATH=/nowhere", process.execPath, coracleFile(), ...args], { allowFailure: true });
    const started = await withoutPrograms(up());
    expect(started.code).toBe(1);
    expect(lines(started.stderr)).toEqual([expect.stringMatching(/lacks: .*crun.*coracle doctor/)]);
    const doctor = await withoutPrograms(["doctor"]);
    expect(doctor.code).toBe(1);
    expect(doctor.stderr).toMatch(/to mend it: apt-get install .*crun/);
  });

  it("a full disk", async () => {
    const dir = join(host.dir, "full");
    mkdirSync(dir);
    await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", dir]);
    try {
      const { code, stderr } = await runCoracle(host, up("--data-dir", join(dir, "data"), "--nodes", "0"));
      expect(code).toBe(1);
      expect(lines(stderr)).toEqual([expect.stringMatching(/no space|disk/i)]);
    } finally {
      await runCoracle(host, ["down", "--name", host.name]);
      await run("umount", [dir]);
    }
  });

  it("a second cluster of the same name", async () => {
    const first = await runCoracle(host, up("--nodes", "0"));
    expect(first).toMatchObject({ code: 0 });
    const second = await runCoracle(host, up("--nodes", "0", "--secure-port", "7443"));
    expect(second.code).toBe(1);
    expect(lines(second.stderr)).toEqual([expect.stringMatching(/is running already .*coracle down --name/)]);
    const down = await runCoracle(host, ["down", "--name", host.name]);
    expect(down).toMatchObject({ code: 0 });
  });

  it("a damaged data file: it is named and stays as it is", async () => {
    const dir = join(host.dir, "damaged");
    const keep = ["up", "--detach", "--name", host.name, "--nodes", "0", "--data-dir", dir];
    expect(await runCoracle(host, keep)).toMatchObject({ code: 0 });
    expect(await runCoracle(host, ["down", "--name", host.name])).toMatchObject({ code: 0 });
    const store = join(dir, "etcd");
    const file = join(
      store,
      readdirSync(store).find((name) => name.endsWith("mdb") && !name.includes("lock")) ?? "data.mdb",
    );
    const size = statSync(file).size;
    truncateSync(file, 0);
    writeFileSync(file, Buffer.alloc(size, "damage"));
    const { code, stderr } = await runCoracle(host, keep);
    expect(code).toBe(1);
    expect(lines(stderr)).toHaveLength(1);
    expect(stderr).toContain(store);
    expect(readFileSync(file).equals(Buffer.alloc(size, "damage"))).toBe(true);
    await runCoracle(host, ["down", "--name", host.name]);
  });

  it("nothing is left of all this", async () => {
    expect(await hostLeftovers(host, before, [host.name])).toEqual([]);
    expect(existsSync(join("/run/coracle", host.name))).toBe(false);
  });
});

async function runAsNobody(host: TestHost, args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const { stdout } = await host.run("sh", ["-c", "command -v setpriv"]);
  const nobody = [stdout.trim(), "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath];
  const [command = "", ...rest] = nobody;
  return host.run(command, [...rest, coracleFile(), ...args], { allowFailure: true });
}

describe("what goes wrong with images and containers is told as upstream tells it", () => {
  let host: TestHost;
  let registry: Registry;
  let cluster: TestCluster;
  let busybox = "";
  beforeAll(async () => {
    host = await createTestHost();
    registry = await startRegistry(host);
    busybox = await registry.push("lib/busybox:1", busyboxImage());
    cluster = await startCluster(host);
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  interface Observed {
    readonly waiting: { readonly reason?: string; readonly message?: string } | undefined;
    readonly last: { readonly reason?: string; readonly exitCode?: number; readonly message?: string } | undefined;
    readonly restarts: number;
    readonly phase: string;
  }
  async function observe(pod: string): Promise<Observed> {
    const { status } = JSON.parse(await cluster.kubectl("get", "pod", pod, "-o", "json")) as {
      status: {
        phase: string;
        containerStatuses?: {
          restartCount: number;
          state: { waiting?: { reason?: string; message?: string } };
          lastState: { terminated?: { reason?: string; exitCode?: number; message?: string } };
        }[];
      };
    };
    const [container] = status.containerStatuses ?? [];
    return {
      waiting: container?.state.waiting,
      last: container?.lastState.terminated,
      restarts: container?.restartCount ?? 0,
      phase: status.phase,
    };
  }
  const waitsFor = (pod: string, reason: string): Promise<Observed> =>
    eventually(
      `${pod} waits with ${reason}`,
      async () => {
        const seen = await observe(pod);
        return seen.waiting?.reason === reason ? seen : undefined;
      },
      30_000,
      50,
    );
  const eventsOf = async (pod: string): Promise<{ reason: string; message: string; type: string }[]> => {
    const json = await cluster.kubectl("get", "events", "--field-selector", `involvedObject.name=${pod}`, "-o", "json");
    return (JSON.parse(json) as { items: { reason: string; message: string; type: string }[] }).items;
  };
  const explain = (pod: string): void =>
    onTestFailed(async () => {
      const seen = await cluster.tryKubectl(["describe", "pod", pod]);
      process.stderr.write(`${seen.stdout}\nlogs: ${cluster.keepLogs()}\n`);
    });

  it("an image that is not there: ErrImagePull, then ImagePullBackOff, with events", async () => {
    explain("absent");
    await cluster.kubectl("run", "absent", `--image=${registry.address}/lib/absent:1`);
    const pulling = await waitsFor("absent", "ErrImagePull");
    expect(pulling.waiting?.message).toContain(`${registry.address}/lib/absent:1`);
    const waiting = await waitsFor("absent", "ImagePullBackOff");
    expect(waiting.waiting?.message).toContain(`Back-off pulling image "${registry.address}/lib/absent:1"`);
    const events = await eventually("the events", async () => {
      const all = await eventsOf("absent");
      return all.some(({ reason }) => reason === "BackOff") ? all : undefined;
    });
    expect(events).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: "Normal", reason: "Pulling" }),
        expect.objectContaining({
          type: "Warning",
          reason: "Failed",
          message: expect.stringContaining("Failed to pull image") as string,
        }),
        expect.objectContaining({ type: "Warning", reason: "Failed", message: "Error: ErrImagePull" }),
        expect.objectContaining({ type: "Normal", reason: "BackOff" }),
        expect.objectContaining({ type: "Warning", reason: "Failed", message: "Error: ImagePullBackOff" }),
      ]),
    );
  });

  it("a name that is no image's name: InvalidImageName", async () => {
    explain("misnamed");
    // kubectl run would refuse it by itself.
    const spec = { containers: [{ name: "misnamed", image: "Not/A:Valid:Name" }] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "misnamed" }, spec };
    await cluster.kubectlWith(JSON.stringify(pod), "apply", "-f", "-");
    const { waiting } = await waitsFor("misnamed", "InvalidImageName");
    expect(waiting?.message).toContain('Failed to apply default image tag "Not/A:Valid:Name"');
    expect((await eventsOf("misnamed")).map(({ reason }) => reason)).toContain("InspectFailed");
  });

  it("a registry that is down: the pod waits, and runs when the registry is back", async () => {
    explain("late");
    await registry.push("lib/late:1", busyboxImage({ "etc/late": "late" }));
    await registry.stop();
    await cluster.kubectl("run", "late", `--image=${registry.address}/lib/late:1`, "--", "sleep", "1000000");
    const { waiting } = await waitsFor("late", "ErrImagePull");
    expect(waiting?.message).toContain("connection refused");
    await waitsFor("late", "ImagePullBackOff");
    await registry.start();
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/late", "--timeout=60s");
  });

  it("a container that ends again and again: CrashLoopBackOff, its last end and its log are told", async () => {
    explain("crashing");
    await cluster.kubectl("run", "crashing", `--image=${busybox}`, "--", "sh", "-c", "echo last words; exit 3");
    const { waiting, last, restarts } = await waitsFor("crashing", "CrashLoopBackOff");
    expect(waiting?.message).toMatch(
      /^back-off \d+s restarting failed container=crashing pod=crashing_default\([-0-9a-f]+\)$/,
    );
    expect(last).toMatchObject({ reason: "Error", exitCode: 3 });
    expect(restarts).toBeGreaterThanOrEqual(1);
    const events = await eventsOf("crashing");
    expect(events).toContainEqual(
      expect.objectContaining({
        type: "Warning",
        reason: "BackOff",
        message: expect.stringMatching(
          /^Back-off restarting failed container crashing in pod crashing_default\(/,
        ) as string,
      }),
    );
    expect(await cluster.kubectl("logs", "crashing", "--previous")).toBe("last words\n");
  });

  it("a command that the image does not have: the runtime's words are told", async () => {
    explain("wordless");
    await cluster.kubectl("run", "wordless", `--image=${busybox}`, "--restart=Never", "--command", "--", "/no/such");
    const message = await eventually("the container failed to start", async () => {
      const seen = JSON.parse(await cluster.kubectl("get", "pod", "wordless", "-o", "json")) as {
        status: {
          containerStatuses?: { state: { terminated?: { reason: string; message?: string; exitCode: number } } }[];
        };
      };
      return seen.status.containerStatuses?.[0]?.state.terminated;
    });
    expect(message).toMatchObject({ reason: "StartError", exitCode: 128 });
    expect(message.message).toContain("/no/such");
  });

  it("a ConfigMap that is missing: CreateContainerConfigError until it is there", async () => {
    explain("unset");
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "unset" },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "unset",
            image: busybox,
            command: ["sleep", "1000000"],
            env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "later", key: "a" } } }],
          },
        ],
      },
    };
    await cluster.kubectlWith(JSON.stringify(pod), "apply", "-f", "-");
    const { waiting } = await waitsFor("unset", "CreateContainerConfigError");
    expect(waiting?.message).toBe('configmap "later" not found');
    await cluster.kubectl("create", "configmap", "later", "--from-literal=a=b");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/unset", "--timeout=60s");
  });
});
