import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Pod } from "@coracle/api/core/v1";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createTestHost,
  eventually,
  exampleImages,
  startCluster,
  startRegistry,
  type Registry,
  type TestCluster,
  type TestHost,
} from "../src/index.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

describe("the resources of a running pod", () => {
  let host: TestHost;
  let registry: Registry;
  let cluster: TestCluster;

  beforeAll(async () => {
    host = await createTestHost();
    registry = await startRegistry(host);
    const busybox = exampleImages(root)["localhost/busybox:1"];
    if (busybox === undefined) throw new Error("there is no busybox among the examples' images");
    const image = await registry.push("busybox:1", busybox);
    cluster = await startCluster(host);
    const amounts = (cpu: string, memory: string): object => ({
      requests: { cpu, memory },
      limits: { cpu, memory },
    });
    const container = { image, command: ["sh", "-c", "trap exit TERM; while :; do sleep 1; done"] };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "box" },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          { name: "grows", ...container, resources: amounts("100m", "64Mi") },
          { name: "shrinks", ...container, resources: amounts("200m", "128Mi") },
          {
            name: "restarts",
            ...container,
            resources: amounts("100m", "64Mi"),
            resizePolicy: [{ resourceName: "memory", restartPolicy: "RestartContainer" }],
          },
        ],
      },
    };
    await cluster.kubectlWith(JSON.stringify(pod), "apply", "-f", "-");
    await cluster.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=60s");
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  const read = async (): Promise<Pod> => JSON.parse(await cluster.kubectl("get", "pod", "box", "-o", "json")) as Pod;
  const resize = (...containers: object[]): Promise<string> =>
    cluster.kubectl("patch", "pod", "box", "--subresource=resize", "-p", JSON.stringify({ spec: { containers } }));
  const amounts = (name: string, cpu: string, memory: string): object => ({
    name,
    resources: { requests: { cpu, memory }, limits: { cpu, memory } },
  });
  const resizing = ({ status }: Pod): string[] =>
    (status?.conditions ?? [])
      .map(({ type, reason = "" }) => `${type} ${reason}`)
      .filter((t) => t.startsWith("PodResize"));
  const limitsOf = ({ status }: Pod, name: string): unknown =>
    status?.containerStatuses?.find((each) => each.name === name)?.resources?.limits;

  /** What the kernel holds the container to: microseconds of each 100 ms, and bytes. */
  async function kernelLimits(container: string): Promise<[number, number]> {
    const [cpu, memory] = existsSync("/sys/fs/cgroup/cgroup.controllers")
      ? ["/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/memory.max"]
      : ["/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    const text = await cluster.kubectl("exec", "box", "-c", container, "--", "cat", cpu, memory);
    const [quota = "", bytes = ""] = text.trim().split("\n");
    return [Number(quota.split(" ")[0]), Number(bytes)];
  }

  it("change in place, or with a restart where that is the policy", async () => {
    await resize(
      amounts("grows", "150m", "96Mi"),
      amounts("shrinks", "100m", "96Mi"),
      amounts("restarts", "100m", "80Mi"),
    );
    await eventually(
      "the change is there",
      async () => {
        const pod = await read();
        return resizing(pod).length === 0 && JSON.stringify(limitsOf(pod, "restarts"))?.includes("80Mi");
      },
      60_000,
    );
    const { metadata, status } = await read();
    expect(metadata.generation).toBe(2);
    expect(status?.containerStatuses?.map(({ name, restartCount }) => `${name} ${restartCount}`).toSorted()).toEqual([
      "grows 0",
      "restarts 1",
      "shrinks 0",
    ]);
    expect(await kernelLimits("grows")).toEqual([15_000, 96 * 2 ** 20]);
    expect(await kernelLimits("shrinks")).toEqual([10_000, 96 * 2 ** 20]);
    expect(await kernelLimits("restarts")).toEqual([10_000, 80 * 2 ** 20]);
    const events = await cluster.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}");
    expect(events).toContain("ResizeStarted");
    expect(events).toContain("ResizeCompleted");
  });

  it("stay as they are when the node can never give what is asked for", async () => {
    await resize(amounts("grows", "900", "96Mi"));
    await eventually("it is refused", async () => resizing(await read())[0] === "PodResizePending Infeasible", 30_000);
    expect(await kernelLimits("grows")).toEqual([15_000, 96 * 2 ** 20]);
    await resize(amounts("grows", "150m", "96Mi"));
    await eventually("it is withdrawn", async () => resizing(await read()).length === 0, 30_000);
  });
});
