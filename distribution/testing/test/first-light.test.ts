import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import {
  createTestHost,
  eventually,
  exampleImages,
  hostLeftovers,
  snapshotHost,
  startCluster,
  startRegistry,
  type HostProcess,
  type HostSnapshot,
  type Registry,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface LoopResult {
  readonly ok: number;
  readonly failed: number;
  readonly failures: readonly string[];
  readonly bodies: Readonly<Record<string, number>>;
}

/** Processes of the pod, in order of their numbers: those whose host name is the pod's. */
function containerPids(pod: string): number[] {
  const isOfPod = (entry: string): boolean => {
    try {
      return readFileSync(`/proc/${entry}/environ`, "latin1").split("\0").includes(`HOSTNAME=${pod}`);
    } catch {
      return false; // gone meanwhile
    }
  };
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && isOfPod(entry))
    .map(Number)
    .toSorted((a, b) => a - b);
}

/** The story that proves the whole: each test goes on where the one before ended. */
describe("first light: from an empty host to a served application and back", () => {
  let host: TestHost;
  let before: HostSnapshot;
  let registry: Registry;
  let cluster: TestCluster;
  let images: Record<string, string>;
  let serviceIp = "";

  beforeAll(async () => {
    host = await createTestHost();
    before = await snapshotHost(host);
    registry = await startRegistry(host);
    images = {};
    for (const [name, image] of Object.entries(exampleImages(root)))
      images[name] = await registry.push(name.replace("localhost/", ""), image);
    cluster = await startCluster(host);
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  const k = (...args: string[]): Promise<string> => cluster.kubectl("-n", "shop", ...args);
  const explainFailure = (): void =>
    onTestFailed(async () => {
      const pods = await cluster.tryKubectl(["get", "pods,deployments,services,endpointslices", "-A", "-o", "wide"]);
      const events = await cluster.tryKubectl(["get", "events", "-A", "--sort-by=.lastTimestamp"]);
      const tail = events.stdout.split("\n").slice(-25).join("\n");
      process.stderr.write(`${pods.stdout}${pods.stderr}\n${tail}\nlogs: ${cluster.keepLogs()}\n`);
    });

  const startRequests = async (): Promise<HostProcess> => {
    const requests = host.program("request-loop", [`http://${serviceIp}/`, "10"]);
    await eventually("the first answer", () => requests.output().includes("started"), 10_000);
    return requests;
  };
  const endRequests = async (requests: HostProcess): Promise<LoopResult> => {
    requests.kill("SIGTERM");
    await requests.exited;
    return JSON.parse(requests.output().trim().split("\n").at(-1) ?? "") as LoopResult;
  };

  it("applies a ConfigMap, a Deployment of 3 and a Service, whose images come from a registry", async () => {
    explainFailure();
    const manifest = readFileSync(join(root, "examples/01-first-deployment/web.yaml"), "utf8").replace(
      /localhost\/\S+/g,
      (name) => images[name] ?? name,
    );
    await cluster.kubectl("create", "namespace", "shop");
    await cluster.kubectlWith(manifest, "-n", "shop", "apply", "-f", "-");
    expect(await k("rollout", "status", "deployment/web", "--timeout=60s")).toContain("successfully rolled out");
    await k("wait", "--for=condition=Ready", "pod/client", "--timeout=60s");
    serviceIp = await k("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}");
    const events = await k("get", "events", "-o", "jsonpath={.items[*].reason}");
    for (const reason of ["Scheduled", "Pulling", "Pulled", "Created", "Started"]) expect(events).toContain(reason);
  });

  it("resolves and fetches the Service by name from another pod", async () => {
    const resolved = await k("exec", "client", "--", "nslookup", "web.shop.svc.cluster.local");
    expect(resolved).toContain(serviceIp);
    for (const name of ["web", "web.shop", "web.shop.svc.cluster.local"])
      expect(await k("exec", "client", "--", "wget", "-qO-", `http://${name}`)).toMatch(
        /^hello from web-\S+, version 1$/m,
      );
  });

  it("follows a log", async () => {
    const [pod = ""] = (await k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}")).split(" ");
    const following = cluster.startKubectl(["-n", "shop", "logs", "-f", pod]);
    await eventually("the first line", () => following.output().includes("listening, version 1"), 10_000);
    const ip = await k("get", "pod", pod, "-o", "jsonpath={.status.podIP}");
    await k("exec", "client", "--", "wget", "-qO-", `http://${ip}:8080/told-to-the-log`);
    await eventually("a new line", () => following.output().includes("GET /told-to-the-log"), 10_000);
    following.kill("SIGINT");
    await following.exited;
  });

  it.each([
    ["WebSocket", "true", "v5.channel.k8s.io"],
    ["SPDY", "false", "SPDY/3.1"],
  ])("runs a command over %s, with its exit code, its input and a terminal of the right size", async (_, on, sign) => {
    const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: on };
    const failed = await cluster.tryKubectl(["-v=8", "-n", "shop", "exec", "client", "--", "sh", "-c", "exit 3"], {
      env,
    });
    expect(failed.code).toBe(3);
    expect(failed.stderr).toContain(sign);
    const input = "x".repeat(200_000);
    const counted = await cluster.tryKubectl(["-n", "shop", "exec", "-i", "client", "--", "wc", "-c"], { env, input });
    expect(counted.stdout.trim()).toBe("200000");
    const terminal = cluster.startKubectl(["-n", "shop", "exec", "-it", "client", "--", "sh"], {
      env,
      terminal: { rows: 33, columns: 101 },
    });
    await eventually("a prompt", () => terminal.output().includes("# "), 10_000);
    // The size follows on a channel of its own, a moment after the command's start.
    await eventually("the size is right", () => {
      terminal.stdin.write("stty size\r");
      return terminal.output().includes("33 101");
    });
    terminal.stdin.write("tty; exit 5\r");
    expect(await terminal.exited).toBe(5);
    expect(terminal.output()).toMatch(/\/dev\/pts\/\d|\/dev\/console/);
  });

  it("copies files into a pod and out of it", async () => {
    const folder = join(host.dir, "copied");
    mkdirSync(folder);
    writeFileSync(join(folder, "big"), Buffer.alloc(3_000_000, "coracle "));
    writeFileSync(join(folder, "small"), "small");
    await k("cp", folder, "client:/tmp/copied");
    expect(await k("exec", "client", "--", "cat", "/tmp/copied/small")).toBe("small");
    await k("cp", "client:/tmp/copied/big", join(host.dir, "back"));
    expect(readFileSync(join(host.dir, "back")).equals(readFileSync(join(folder, "big")))).toBe(true);
  });

  it.each([
    ["a WebSocket tunnel", "true", /negotiated protocol: portforward.k8s.io/, /SPDY\/3\.1\+portforward\.k8s\.io/],
    ["SPDY", "false", /verb="POST" url="\S+\/portforward"/, /X-Stream-Protocol-Version: portforward\.k8s\.io/],
  ])("forwards a port through %s, which was really used", async (_, on, sign, other) => {
    const forward = cluster.startKubectl(["-v=7", "-n", "shop", "port-forward", "service/web", "18080:80"], {
      env: { KUBECTL_PORT_FORWARD_WEBSOCKETS: on },
    });
    await eventually("it forwards", () => forward.output().includes("Forwarding from 127.0.0.1:18080"), 10_000);
    for (let i = 0; i < 5; i++) {
      const { stdout } = await host.run("busybox", ["wget", "-qO-", "http://127.0.0.1:18080/"]);
      expect(stdout).toContain("hello from web-");
    }
    expect(forward.output()).toMatch(sign);
    expect(forward.output()).toMatch(other);
    forward.kill("SIGINT");
    await forward.exited;
  });

  it("scales to 10", async () => {
    explainFailure();
    await k("scale", "deployment/web", "--replicas=10");
    await k("rollout", "status", "deployment/web", "--timeout=60s");
    expect(await k("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")).toBe("10");
    await eventually("10 endpoints", async () => {
      const slices = await k("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "json");
      const { items } = JSON.parse(slices) as { items: { endpoints: { conditions: { ready: boolean } }[] }[] };
      return items.flatMap(({ endpoints }) => endpoints).filter(({ conditions }) => conditions.ready).length === 10;
    });
  });

  it("rolls out a new version and takes it back, with not one failed request", async () => {
    explainFailure();
    await k("scale", "deployment/web", "--replicas=4");
    await k("rollout", "status", "deployment/web", "--timeout=60s");
    const requests = await startRequests();
    await k("set", "image", "deployment/web", `web=${images["localhost/web:2"] ?? ""}`);
    await k("rollout", "status", "deployment/web", "--timeout=120s");
    expect(await k("exec", "client", "--", "wget", "-qO-", "http://web")).toContain("version 2");
    await k("rollout", "undo", "deployment/web");
    await k("rollout", "status", "deployment/web", "--timeout=120s");
    expect(await k("exec", "client", "--", "wget", "-qO-", "http://web")).toContain("version 1");
    await sleep(systemClock, 2000); // the last old pods end
    const result = await endRequests(requests);
    expect(result.failures).toEqual([]);
    expect(result.ok).toBeGreaterThan(100);
    expect(Object.keys(result.bodies).some((body) => body.endsWith("version 2"))).toBe(true);
  });

  it("installs a Helm chart", async () => {
    explainFailure();
    const chart = join(root, "examples/05-helm-chart/chart");
    const set = `image=${images["localhost/web:1"] ?? ""}`;
    const options = ["-n", "shop", "--set", set, "--wait", "--timeout", "60s"];
    const installed = await cluster.helm("install", "morning", chart, ...options);
    expect(installed).toContain("STATUS: deployed");
    expect(await k("exec", "client", "--", "wget", "-qO-", "http://morning")).toContain("good morning from morning-");
    expect(await cluster.helm("uninstall", "morning", "-n", "shop")).toContain("uninstalled");
  });

  it("outlives kill -9 of each of its processes: containers keep their pids, nothing acknowledged is lost", async () => {
    explainFailure();
    const pidsOfContainers = async (): Promise<string> => {
      const names = (await k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}")).split(" ");
      const pids = names.map((name) => containerPids(name).join(","));
      return names.map((name, i) => `${name}=${pids[i] ?? ""}`).join(" ");
    };
    const restarts = (): Promise<string> =>
      k("get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}");
    const pidsBefore = await pidsOfContainers();
    expect(pidsBefore).toMatch(/^(web-\S+=\d[\d,]* ?){4}$/);
    const restartsBefore = await restarts();
    const requests = await startRequests();
    const names = (await cluster.status()).processes.map((process) => process.name);
    expect(names.length).toBeGreaterThanOrEqual(5);

    for (const name of [...names.filter((other) => other !== "supervisor"), "supervisor"]) {
      await k("create", "configmap", `before-${name}`, "--from-literal=a=b");
      const old = (await cluster.status()).processes.find((process) => process.name === name);
      process.kill(old?.pid ?? 0, "SIGKILL");
      await eventually(
        `${name} runs again`,
        async () => {
          const now = (await cluster.status()).processes.find((process) => process.name === name);
          return now !== undefined && now.pid !== old?.pid;
        },
        20_000,
      );
      // Whatever was told is there, and the whole cluster works: a new pod gets ready.
      await eventually(`the API server answers after ${name}`, () => k("get", "configmap", `before-${name}`), 20_000);
      await eventually(
        `a pod runs after the end of ${name}`,
        async () => {
          await k("delete", "pod", "probe", "--ignore-not-found", "--now");
          const image = `--image=${images["localhost/busybox:1"] ?? ""}`;
          await k("run", "probe", image, "--restart=Never", "--", "sleep", "1000000");
          await k("wait", "--for=condition=Ready", "pod/probe", "--timeout=20s");
          return true;
        },
        60_000,
      );
      expect(await k("exec", "probe", "--", "wget", "-qO-", "http://web")).toContain("hello from web-");
    }
    const result = await endRequests(requests);
    expect(result.failures).toEqual([]);
    expect(await pidsOfContainers()).toBe(pidsBefore);
    expect(await restarts()).toContain(restartsBefore.trim());
    for (const name of names) await k("get", "configmap", `before-${name}`);
    await k("delete", "pod", "probe", "--now");
    const status = await cluster.status();
    expect(status.processes.map((process) => process.name).toSorted()).toEqual(names.toSorted());
  });

  it("deletes the namespace with all it holds", async () => {
    explainFailure();
    await cluster.kubectl("delete", "namespace", "shop", "--timeout=60s");
    const left = await cluster.tryKubectl(["get", "pods", "-n", "shop", "-o", "name"]);
    expect(left.stdout).toBe("");
  });

  it("coracle down leaves no process, mount, namespace, interface, cgroup, rule or file", async () => {
    await cluster.down();
    await registry[Symbol.asyncDispose]();
    expect(await hostLeftovers(host, before, [cluster.name])).toEqual([]);
  });
});
