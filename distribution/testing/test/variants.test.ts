import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import {
  createTestHost,
  eventually,
  exampleImages,
  hostLeftovers,
  imageArchive,
  snapshotHost,
  startCluster,
  type HostSnapshot,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

describe("clusters of other kinds", () => {
  let host: TestHost;
  let before: HostSnapshot;
  let clusters: TestCluster[];
  beforeEach(async () => {
    clusters = [];
    host = await createTestHost();
    before = await snapshotHost(host);
  });
  afterEach(async () => {
    for (const cluster of clusters) await cluster[Symbol.asyncDispose]();
    await host[Symbol.asyncDispose]();
  });

  const start = async (flags: readonly string[], keepData = false): Promise<TestCluster> => {
    const cluster = await startCluster(host, { flags, keepData });
    clusters.push(cluster);
    onTestFailed(async () => {
      const seen = await cluster.tryKubectl(["get", "pods,events", "-A", "-o", "wide"]);
      process.stderr.write(`${seen.stdout}${seen.stderr}\nlogs: ${cluster.keepLogs()}\n`);
    });
    return cluster;
  };
  const load = async (cluster: TestCluster): Promise<void> => {
    const archive = join(host.dir, "images.tar");
    writeFileSync(archive, imageArchive(exampleImages(root)));
    expect(await cluster.coracle("image", "load", archive)).toMatchObject({ code: 0 });
  };
  const deploy = async (cluster: TestCluster): Promise<void> => {
    await cluster.kubectl("apply", "-f", join(root, "examples/01-first-deployment/web.yaml"));
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s");
  };
  const expectAnswer = async (cluster: TestCluster): Promise<void> => {
    const answer = await eventually("an answer by name", () =>
      cluster.kubectl("exec", "client", "--", "wget", "-qO-", "http://web"),
    );
    expect(answer).toContain("hello from web-");
  };

  it.each([[["--proxy-mode", "nftables"]], [["--runtime", "runc"]], [["--store", "memory"]]])(
    "%j serves an application by its name, at its node port, and leaves nothing",
    async (flags) => {
      const cluster = await start(flags);
      await load(cluster);
      await deploy(cluster);
      await expectAnswer(cluster);
      await cluster.kubectl("patch", "service", "web", "-p", '{"spec":{"type":"NodePort"}}');
      const port = await cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}");
      await eventually("an answer at the node port", async () => {
        const { stdout } = await host.run("busybox", ["wget", "-qO-", `http://${host.address}:${port}/`]);
        return stdout.includes("hello from web-");
      });
      await cluster.down();
      expect(await hostLeftovers(host, before, [cluster.name])).toEqual([]);
    },
  );

  it("what was stored is there after down and up, and runs again", async () => {
    const first = await start([], true);
    await load(first);
    await deploy(first);
    const uid = await first.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}");
    await first.down();
    const second = await start([]); // this time nothing is kept
    expect(await second.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}")).toBe(uid);
    await second.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    await second.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s");
    await expectAnswer(second);
    await second.down();
    expect(await hostLeftovers(host, before, [second.name])).toEqual([]);
  });

  it("down after everything was killed at once removes all the same", async () => {
    const cluster = await start([]);
    await load(cluster);
    await deploy(cluster);
    const { processes } = await cluster.status();
    for (const { pid } of processes) process.kill(pid, "SIGKILL");
    await eventually("all are gone", () =>
      processes.every(({ pid }) => {
        try {
          return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
        } catch {
          return true;
        }
      }),
    );
    expect(await cluster.down()).toContain("is down");
    expect(await hostLeftovers(host, before, [cluster.name])).toEqual([]);
  });
});
