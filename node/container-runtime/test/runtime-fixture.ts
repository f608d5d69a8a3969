import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, sleep, systemClock, type Logger } from "@coracle/base";
import type { ContainerConfig, ContainerStatus, PodSandboxConfig } from "@coracle/api/cri";
import { detectCgroups, removeCgroup, run } from "@coracle/linux";
// The one place where both are in the same room, as in the composition root.
import { openPodNetwork, type RoutedPodNetwork } from "../../cni/src/index.ts";
import { importImage, removeEverything, runContainerRuntime, type ContainerRuntimeOptions } from "../src/index.ts";
import { buildBusyboxImage, type BusyboxImage } from "./busybox-image.ts";
import { connectCri, type CriClient } from "./cri-client.ts";

/** Parent of the test pods' cgroups. */
export const TEST_CGROUP = `/coracle-test-${process.pid}`;
const logger: Logger = createLogger({
  write: (line) => (process.env["VERBOSE"] === undefined ? undefined : process.stderr.write(line)),
  level: "debug",
});

/** Looks again and again until there is an answer. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const end = systemClock.monotonicMs() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (systemClock.monotonicMs() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(systemClock, 10);
  }
}

/** A pod of the test. */
export interface TestPod {
  readonly sandbox: string;
  readonly config: PodSandboxConfig;
  /** Creates and starts a container that runs a shell script. */
  add(name: string, script: string, more?: Partial<ContainerConfig>): Promise<string>;
  /** What a container wrote. */
  log(name: string): Promise<string>;
  remove(): Promise<void>;
}

/** A runtime with an image and a pod network, in a network namespace of the test. */
export class RuntimeFixture implements AsyncDisposable {
  readonly folder: string;
  readonly image: BusyboxImage;
  readonly network: RoutedPodNetwork;
  cri: CriClient;
  #stop: (() => Promise<void>) | undefined;
  readonly #more: Partial<ContainerRuntimeOptions>;
  #attempt = 0;

  private constructor(
    folder: string,
    image: BusyboxImage,
    network: RoutedPodNetwork,
    more: Partial<ContainerRuntimeOptions>,
  ) {
    this.folder = folder;
    this.image = image;
    this.network = network;
    this.#more = more;
    this.cri = connectCri(this.socketPath);
  }

  get socketPath(): string {
    return join(this.folder, "cri.sock");
  }
  get stateDir(): string {
    return join(this.folder, "state");
  }
  get rootDir(): string {
    return join(this.folder, "root");
  }

  static async start(more: Partial<ContainerRuntimeOptions> = {}): Promise<RuntimeFixture> {
    // Pods get routes and rules: that is for a network namespace of a test only.
    const links = (await run("ip", ["-o", "link"])).stdout;
    if (/ eth\d/.test(links))
      throw new Error("run this in a network namespace of its own: unshare --net sh -c 'ip link set lo up; …'");
    const folder = await mkdtemp(join(tmpdir(), "cr-"));
    const image = await buildBusyboxImage(join(folder, "image"));
    const network = await openPodNetwork({ dataDir: join(folder, "cni"), podCidr: "10.77.0.0/24" });
    const fixture = new RuntimeFixture(folder, image, network, more);
    await fixture.run();
    await importImage(fixture.socketPath, image.archive);
    return fixture;
  }

  /** Runs the runtime in this process. */
  async run(): Promise<void> {
    const end = new AbortController();
    let ready = (): void => {};
    const isReady = new Promise<void>((resolve) => (ready = resolve));
    const done = runContainerRuntime({
      socketPath: this.socketPath,
      rootDir: this.rootDir,
      stateDir: this.stateDir,
      network: this.network,
      signal: end.signal,
      logger,
      onReady: ready,
      ...this.#more,
    });
    await Promise.race([isReady, done]);
    this.#stop = async () => {
      end.abort();
      await done;
    };
    this.reconnect();
  }

  reconnect(): void {
    this.cri[Symbol.dispose]();
    this.cri = connectCri(this.socketPath);
  }

  async stop(): Promise<void> {
    await this.#stop?.();
    this.#stop = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cri[Symbol.dispose]();
    await this.stop();
    await removeEverything({ stateDir: this.stateDir, network: this.network });
    // Pods' own cgroups are the kubelet's to make and to remove; here the test stands for it.
    await removeCgroup(await detectCgroups(), TEST_CGROUP);
    await this.network.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Makes a pod. */
  async pod(name: string, more: Partial<PodSandboxConfig> = {}): Promise<TestPod> {
    const config: PodSandboxConfig = {
      metadata: { name, uid: `uid-${name}`, namespace: "default", attempt: this.#attempt++ },
      hostname: name,
      logDirectory: join(this.folder, "logs", name),
      dnsConfig: { servers: ["10.96.0.10"], searches: ["default.svc.cluster.local"], options: ["ndots:5"] },
      labels: { name },
      linux: { cgroupParent: `${TEST_CGROUP}/pod-${name}`, securityContext: {} },
      ...more,
    };
    const { podSandboxId: sandbox = "" } = await this.cri.call("RunPodSandbox", { config });
    return {
      sandbox,
      config,
      add: async (container, script, extra = {}) => {
        const { containerId = "" } = await this.cri.call("CreateContainer", {
          podSandboxId: sandbox,
          config: {
            metadata: { name: container, attempt: 0 },
            image: { image: "localhost/busybox:1" },
            command: ["sh", "-c", script],
            logPath: `${container}.log`,
            linux: { resources: {}, securityContext: { namespaceOptions: { pid: "CONTAINER" } } },
            ...extra,
          },
          sandboxConfig: config,
        });
        await this.cri.call("StartContainer", { containerId });
        return containerId;
      },
      log: async (container) =>
        (await readFile(join(config.logDirectory ?? "", `${container}.log`), "utf8")).replaceAll(
          /^\S+ (stdout|stderr) [FP] /gm,
          "",
        ),
      remove: async () => {
        await this.cri.call("StopPodSandbox", { podSandboxId: sandbox });
        await this.cri.call("RemovePodSandbox", { podSandboxId: sandbox });
      },
    };
  }

  async statusOf(containerId: string): Promise<ContainerStatus> {
    return (await this.cri.call("ContainerStatus", { containerId })).status ?? {};
  }

  /** Waits for a container's end. */
  exited(id: string): Promise<ContainerStatus> {
    return until("the exit", async () => {
      const status = await this.statusOf(id);
      return status.state === "CONTAINER_EXITED" && status;
    });
  }
}
