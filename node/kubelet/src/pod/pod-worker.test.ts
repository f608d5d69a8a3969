import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pod, PodStatus } from "@coracle/api/core/v1";
import type { ContainerState, CreateContainerRequest } from "@coracle/api/cri";
import { createFakeClock, createSeededRandom, silentLogger, type FakeClock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CriClient } from "../cri/cri-client.ts";
import { createImageManager } from "../image/image-manager.ts";
import { podOf } from "./pod-fixture.ts";
import { PodWorker, type PodWorkerDeps } from "./pod-worker.ts";
import { createStatusManager } from "./status-manager.ts";

interface FakeContainer {
  readonly request: CreateContainerRequest;
  readonly createdAt: number;
  state: ContainerState;
  exitCode: number;
  finishedAt: number;
}

/** A runtime in memory that does what it is told and writes down what. */
function fakeRuntime(clock: FakeClock) {
  const containers = new Map<string, FakeContainer>();
  const sandboxes = new Map<string, { isReady: boolean; readonly createdAt: number }>();
  const calls: string[] = [];
  let ids = 0;
  const answers: Readonly<Record<string, (request: never) => unknown>> = {
    ImageStatus: () => ({ image: { id: "sha256:1", size: 1 } }),
    RunPodSandbox: () => {
      const podSandboxId = `s${ids++}`;
      sandboxes.set(podSandboxId, { isReady: true, createdAt: clock.now() * 1e6 });
      return { podSandboxId };
    },
    ListPodSandbox: () => ({
      items: [...sandboxes].map(([id, { isReady }]) => ({ id, state: isReady ? "SANDBOX_READY" : "SANDBOX_NOTREADY" })),
    }),
    PodSandboxStatus: ({ podSandboxId: id }: { podSandboxId: string }) => ({
      status: {
        id,
        state: sandboxes.get(id)?.isReady === true ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
        createdAt: sandboxes.get(id)?.createdAt,
        network: { ip: "10.0.0.2" },
      },
    }),
    CreateContainer: (request: CreateContainerRequest) => {
      const containerId = `c${ids++}`;
      containers.set(containerId, {
        request,
        createdAt: clock.now() * 1e6,
        state: "CONTAINER_CREATED",
        exitCode: 0,
        finishedAt: 0,
      });
      return { containerId };
    },
    StartContainer: ({ containerId }: { containerId: string }) => {
      const found = containers.get(containerId);
      if (found !== undefined) found.state = "CONTAINER_RUNNING";
      return {};
    },
    StopContainer: ({ containerId }: { containerId: string }) => end(containerId, 143),
    ListContainers: () => ({
      containers: [...containers].map(([id, { state, request }]) => ({
        id,
        state,
        podSandboxId: request.podSandboxId,
      })),
    }),
    ContainerStatus: ({ containerId: id }: { containerId: string }) => {
      const found = containers.get(id);
      return {
        status: {
          id,
          state: found?.state,
          exitCode: found?.exitCode,
          createdAt: found?.createdAt,
          startedAt: found?.createdAt,
          finishedAt: found?.finishedAt,
          labels: found?.request.config?.labels,
          annotations: found?.request.config?.annotations,
        },
      };
    },
    StopPodSandbox: ({ podSandboxId }: { podSandboxId: string }) => {
      const found = sandboxes.get(podSandboxId);
      if (found !== undefined) found.isReady = false;
      return {};
    },
    RemoveContainer: ({ containerId }: { containerId: string }) => containers.delete(containerId),
    RemovePodSandbox: ({ podSandboxId }: { podSandboxId: string }) => sandboxes.delete(podSandboxId),
  };
  function end(id: string, exitCode: number): object {
    const found = containers.get(id);
    if (found !== undefined && found.state === "CONTAINER_RUNNING") {
      Object.assign(found, { state: "CONTAINER_EXITED", exitCode, finishedAt: clock.now() * 1e6 });
    }
    return {};
  }
  const quiet = /^(List|PodSandboxStatus|ContainerStatus|ImageStatus)/;
  const cri: CriClient = {
    call: async (method, request) => {
      if (!quiet.test(method)) calls.push(method);
      return (answers[method]?.(request as never) ?? {}) as never;
    },
    events: async () => {},
    close() {},
  };
  return { cri, calls, containers, sandboxes, end };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pod-worker-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function story(pod: Pod, admitResize?: PodWorkerDeps["admitResize"]) {
  const clock = createFakeClock();
  const runtime = fakeRuntime(clock);
  const statuses: PodStatus[] = [];
  const events: string[] = [];
  const deleted: unknown[] = [];
  const stop = new AbortController();
  const client = {
    patch: async (_type: unknown, _key: unknown, _how: unknown, body: { status: PodStatus }) => {
      statuses.push(body.status);
      return pod;
    },
    delete: async (_type: unknown, _key: unknown, options: unknown) => void deleted.push(options),
  } as unknown as ApiClient;
  let isGone = false;
  const shared = { client, clock, logger: silentLogger };
  const worker = new PodWorker(
    {
      ...shared,
      cri: runtime.cri,
      random: createSeededRandom(1),
      recorder: {
        event: (_about, _type, reason) => void events.push(reason),
        flush: async () => {},
        [Symbol.asyncDispose]: async () => {},
      },
      statuses: createStatusManager({ ...shared, signal: stop.signal }),
      images: createImageManager({ cri: runtime.cri, clock, isSerial: true, pullTimeoutMs: 0 }),
      objects: {
        acquire: async () => {},
        release: async () => {},
        configMap: () => undefined,
        secret: () => undefined,
        [Symbol.asyncDispose]: async () => {},
      },
      volumes: { prepare: async () => new Map(), renewAt: () => undefined, remove: async () => {} },
      cgroups: { pathOf: () => "/x", ensure: async () => {}, set: async () => {}, remove: async () => {} },
      context: {
        rootFolder: folder,
        podLogsFolder: join(folder, "logs"),
        dns: { clusterDns: [], clusterDomain: "cluster.local", host: {} },
        memoryBytes: 1,
        hasCpuQuota: true,
        cgroupParent: () => "/x",
      },
      amounts: () => ({ cpuMillis: 1, memoryBytes: 1, ephemeralStorageBytes: 1 }),
      services: () => [],
      nodeIps: ["192.0.2.1"],
      podsFolder: join(folder, "pods"),
      runtimeName: () => "fake",
      ready: Promise.resolve(),
      maxContainerBackoffMs: 300_000,
      admitResize,
      gone: () => (isGone = true),
    },
    pod,
  );
  /** Lets real file work and fake time go on until `reached`. */
  const until = async (reached: () => boolean): Promise<void> => {
    // Many turns for the files, little fake time: a slow disk must not eat up the back-off.
    for (let i = 0; i < 40_000 && !reached(); i++) await clock.advance(i % 20 === 0 ? 1 : 0);
    expect(reached()).toBe(true);
  };
  return { clock, worker, statuses, events, deleted, until, ...runtime, isGone: () => isGone };
}

const running = (state: { containers: ReadonlyMap<string, FakeContainer> }): string[] =>
  [...state.containers].filter(([, each]) => each.state === "CONTAINER_RUNNING").map(([id]) => id);

describe("a pod's life", () => {
  it("from its start to its deletion takes one status write each way and leaves nothing", async () => {
    const pod = podOf({ containers: [{ name: "c", image: "i:1" }] });
    const s = story(pod);
    s.worker.poke();
    await s.until(() => s.statuses.some(({ phase }) => phase === "Running"));
    expect(s.calls).toEqual(["RunPodSandbox", "CreateContainer", "StartContainer"]);
    expect(s.events).toEqual(["Pulled", "Created", "Started"]);
    expect(s.statuses).toHaveLength(1);

    s.worker.update({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 5 },
    });
    await s.until(s.isGone);
    expect(s.deleted).toEqual([{ gracePeriodSeconds: 0, preconditions: { uid: "u" } }]);
    expect([s.containers.size, s.sandboxes.size]).toEqual([0, 0]);
    await s.worker.close();
    expect(s.clock.pending).toBe(0);
  });

  it("with a container that crashes goes on after the back-off, and keeps one ended run", async () => {
    const s = story(podOf());
    s.worker.poke();
    for (const waitMs of [0, 10_000, 20_000]) {
      await s.until(() => running(s).length === 1);
      s.end(running(s)[0] ?? "", 1);
      s.worker.poke();
      if (waitMs > 0) {
        await s.until(() => s.statuses.at(-1)?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff");
        expect(running(s)).toEqual([]);
        await s.clock.advance(waitMs);
      }
    }
    await s.until(() => running(s).length === 1);
    expect(s.events.filter((reason) => reason === "BackOff")).toHaveLength(2);
    await s.until(() => s.statuses.at(-1)?.containerStatuses?.[0]?.restartCount === 3);
    expect(s.containers.size).toBe(2);
    await s.worker.close();
  });
});

describe("a change of resources", () => {
  const resources = (cpu: string, memory = "64Mi"): object => ({
    resources: { requests: { cpu, memory }, limits: { cpu, memory } },
  });
  const podWith = (generation: number, container: object): Pod =>
    podOf({ containers: [{ name: "c", image: "i:1", ...container }] }, {
      metadata: { name: "p", namespace: "default", uid: "u", generation },
    } as Partial<Pod>);
  const resizing = (status: PodStatus | undefined): (string | undefined)[] =>
    (status?.conditions ?? [])
      .filter(({ type }) => type?.startsWith("PodResize"))
      .map(({ type, reason }) => (reason === undefined ? type : `${type} ${reason}`));

  it("is given to the running container, and told of", async () => {
    const s = story(podWith(1, resources("100m")));
    s.worker.poke();
    await s.until(() => running(s).length === 1);
    s.worker.update(podWith(2, resources("200m", "128Mi")));
    await s.until(() => s.events.includes("ResizeCompleted"));
    await s.until(() => s.statuses.at(-1)?.containerStatuses?.[0]?.resources?.limits?.["memory"] === "128Mi");
    expect(s.calls.filter((method) => method === "UpdateContainerResources")).toHaveLength(1);
    expect(s.containers.size).toBe(1);
    const [status] = s.statuses.at(-1)?.containerStatuses ?? [];
    expect(status).toMatchObject({
      restartCount: 0,
      allocatedResources: { cpu: "200m", memory: "128Mi" },
      resources: { requests: { cpu: "200m" }, limits: { cpu: "200m" } },
    });
    expect(s.events.filter((reason) => reason.startsWith("Resize"))).toEqual(["ResizeStarted", "ResizeCompleted"]);
    await s.worker.close();
  });

  it("starts the container anew where its policy says so", async () => {
    const resizePolicy = [{ resourceName: "memory", restartPolicy: "RestartContainer" }];
    const s = story(podWith(1, { ...resources("100m"), resizePolicy }));
    s.worker.poke();
    await s.until(() => running(s).length === 1);
    const [first] = running(s);
    s.worker.update(podWith(2, { ...resources("100m", "128Mi"), resizePolicy }));
    await s.until(() => s.events.includes("ResizeCompleted") && running(s).length === 1);
    expect(running(s)).not.toEqual([first]);
    expect(s.calls).not.toContain("UpdateContainerResources");
    await s.until(() => s.statuses.at(-1)?.containerStatuses?.[0]?.restartCount === 1);
    await s.worker.close();
  });

  it("is kept back, with its reason, until the node has it", async () => {
    let free = false;
    const message = "Node didn't have enough resource: cpu, requested: 9000, used: 0, capacity: 2000";
    const s = story(podWith(1, resources("100m")), () => (free ? undefined : { reason: "Deferred", message }));
    s.worker.poke();
    await s.until(() => running(s).length === 1);
    s.worker.update(podWith(2, resources("9")));
    await s.until(() => resizing(s.statuses.at(-1)).length > 0);
    expect(resizing(s.statuses.at(-1))).toEqual(["PodResizePending Deferred"]);
    expect(s.worker.waitsForResources).toBe(true);
    expect(s.worker.pod.spec?.containers[0]?.resources?.requests).toMatchObject({ cpu: "100m" });
    free = true;
    s.worker.poke();
    await s.until(() => s.events.includes("ResizeCompleted"));
    expect(s.events.filter((reason) => reason.startsWith("Resize"))).toEqual([
      "ResizeDeferred",
      "ResizeStarted",
      "ResizeCompleted",
    ]);
    expect(s.worker.waitsForResources).toBe(false);
    await s.until(() => JSON.stringify(s.statuses.at(-1)?.conditions).includes('"$patch":"delete"'));
    await s.worker.close();
  });
});
