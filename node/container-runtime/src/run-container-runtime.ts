import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bootId, detectCgroups, unmountTree } from "@coracle/linux";
import { aborted, Cleanup, systemClock, type Clock, type Logger } from "@coracle/base";
import type { ContainerEventResponse } from "@coracle/api/cri";
import { ContainerManager } from "./container/container-manager.ts";
import { Limiter } from "./container/serial.ts";
import { chooseOciRuntime, findProgram, probeHostLimits, type OciRuntimeChoice } from "./host/oci-runtime.ts";
import { runtimePaths, type RuntimePaths } from "./host/paths.ts";
import { importImageArchive } from "./image/archive.ts";
import { openImageStore } from "./image/image-store.ts";
import type { RegistryHost } from "./image/registry.ts";
import { writeFileAtomically } from "./json-file.ts";
import type { PodNetwork } from "./network/pod-network.ts";
import type { RuntimeContext } from "./runtime-context.ts";
import { SandboxManager } from "./sandbox/sandbox-manager.ts";
import { startCriServer } from "./server/cri-server.ts";
import { createImageService } from "./server/image-service.ts";
import { containerEventOf, createRuntimeService } from "./server/runtime-service.ts";
import { StatisticsReader } from "./statistics/statistics.ts";
import { startStreamingServer } from "./streaming/streaming-server.ts";

export interface ContainerRuntimeOptions {
  /** CRI is served here. */
  readonly socketPath: string;
  /** Images and what containers write; outlives a reboot. */
  readonly rootDir: string;
  /** What is void after a reboot: mounts, namespaces, exit files. */
  readonly stateDir: string;
  readonly runtime?: OciRuntimeChoice;
  readonly network: PodNetwork;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly registries?: Readonly<Record<string, RegistryHost>>;
  /** Hosts to be spoken to without TLS; loopback hosts are anyway. */
  readonly insecureRegistries?: readonly string[];
  readonly version?: string;
  /** Pod and container starts that run at once. */
  readonly parallelStarts?: number;
  /** Called when CRI answers. */
  readonly onReady?: () => void;
}

/**
 * Serves CRI until the signal aborts. Containers go on without us: a later call with the same folders finds them as
 * they are, and learns what ended meanwhile. Also after a SIGKILL, also after a reboot (which ended all of them).
 */
export async function runContainerRuntime(options: ContainerRuntimeOptions): Promise<void> {
  const { signal, network, clock = systemClock } = options;
  const logger = options.logger.child({ component: "container-runtime" });
  const paths = runtimePaths(options.rootDir, options.stateDir);
  const conmon = findProgram("conmon");
  if (conmon === undefined) throw new Error("the program conmon is missing: install the package conmon");
  await using cleanup = new Cleanup();

  await Promise.all(
    [paths.root, paths.state, dirname(options.socketPath)].map((folder) => mkdir(folder, { recursive: true })),
  );
  const rebooted = await startAfterBoot(paths);
  const hierarchy = await detectCgroups();
  const oci = await chooseOciRuntime(options.runtime ?? "auto", hierarchy);
  const limits = await probeHostLimits(hierarchy);
  let containers: ContainerManager | undefined;
  const images = await openImageStore({
    folder: paths.images,
    clock,
    registries: { ...withoutTls(options.insecureRegistries ?? []), ...options.registries },
    layersInUse: () => [...(containers?.list() ?? [])].flatMap((record) => record.layers),
  });

  const listeners = new Set<(event: ContainerEventResponse) => void>();
  const context: RuntimeContext = {
    paths,
    oci,
    conmon,
    hierarchy,
    limits,
    images,
    clock,
    logger,
    starts: new Limiter(options.parallelStarts ?? 4),
    notify(type, id, sandboxId) {
      if (listeners.size === 0) return;
      const event = containerEventOf({ containers: manager, sandboxes }, type, id, sandboxId, clock.now());
      for (const listener of listeners) listener(event);
    },
  };
  const manager = new ContainerManager(context);
  containers = manager;
  const sandboxes = new SandboxManager(context, manager, network);
  await manager.restore({ rebooted });
  cleanup.add(() => manager.idle());
  cleanup.use(manager);
  await sandboxes.restore({ rebooted });
  // What an interrupted pull had unpacked may never have reached the disk.
  if (rebooted) await images.sweep();
  await writeFileAtomically(paths.bootId, await bootId());

  const streaming = cleanup.use(await startStreamingServer({ context, containers: manager, sandboxes, clock, logger }));
  const statistics = new StatisticsReader(context);
  const version = options.version ?? "0.1.0";
  cleanup.use(
    await startCriServer({
      socketPath: options.socketPath,
      runtime: createRuntimeService({
        context,
        containers: manager,
        sandboxes,
        network,
        statistics,
        streaming,
        version,
      }),
      images: createImageService(images, context),
      events: {
        subscribe(listener) {
          listeners.add(listener);
          return { [Symbol.dispose]: () => void listeners.delete(listener) };
        },
      },
      importImage: (file) => importImageArchive(images, file, paths.root),
      logger,
    }),
  );
  logger.info("serving CRI", {
    socket: options.socketPath,
    ociRuntime: oci.path,
    cgroupVersion: hierarchy.version,
    rebooted,
  });
  options.onReady?.();
  await aborted(signal);
}

const withoutTls = (hosts: readonly string[]): Readonly<Record<string, RegistryHost>> =>
  Object.fromEntries(hosts.map((host) => [host, { endpoint: `http://${host}` }]));

/** Clears the run folder when the machine was started anew since; tells whether it was. */
async function startAfterBoot(paths: RuntimePaths): Promise<boolean> {
  const before = await readFile(paths.bootId, "utf8").catch(() => undefined);
  const rebooted = before !== undefined && before !== (await bootId());
  if (rebooted) {
    await unmountTree(paths.state);
    await rm(paths.state, { recursive: true, force: true });
    await mkdir(paths.state, { recursive: true });
  }
  // Whoever takes everything apart later finds the other folder by this.
  await writeFile(join(paths.state, "root"), paths.root);
  return rebooted;
}
