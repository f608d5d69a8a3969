import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { COMPONENT_VERSION } from "@coracle/api";
import { Pod, Service } from "@coracle/api/core/v1";
import { sleep, systemRandom, TaskScope, type Clock, type Logger, type Random } from "@coracle/base";
import { createEventRecorder, createInformer, dropManagedFields, type ApiClient } from "@coracle/client";
import { ensureMountPoint } from "@coracle/linux";
import { DEFAULT_CONFIGURATION, type KubeletConfiguration } from "./config.ts";
import { createCriClient } from "./cri/cri-client.ts";
import { readMachine } from "./host/machine.ts";
import { createImageManager } from "./image/image-manager.ts";
import { parseResolvConf } from "./network/dns.ts";
import { createNodeAgent } from "./node/node-agent.ts";
import { nodeResources } from "./node/node-status.ts";
import { watchRuntime } from "./pod/pod-events.ts";
import { PodManager } from "./pod/pod-manager.ts";
import { watchStaticPods } from "./pod/static-pods.ts";
import { createStatusManager } from "./pod/status-manager.ts";
import { openPodCgroups } from "./resources/pod-cgroups.ts";
import { quantityMillis, quantityUnits } from "./resources/quantity.ts";
import { runLogRotation } from "./server/log-rotation.ts";
import { runGarbageCollection } from "./image/image-garbage.ts";
import { serveKubelet, type KubeletTls } from "./server/kubelet-server.ts";
import { createReferencedObjects } from "./volume/referenced-objects.ts";
import { createVolumeManager } from "./volume/volume-manager.ts";

export interface KubeletOptions {
  readonly client: ApiClient;
  /** `unix:///run/containerd/containerd.sock`. */
  readonly criEndpoint: string;
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  /** `/var/lib/kubelet`. */
  readonly rootDir: string;
  readonly clock: Clock;
  readonly random?: Random | undefined;
  readonly logger: Logger;
  /** Stops the kubelet; pods go on running. */
  readonly signal: AbortSignal;
  readonly configuration?: Partial<KubeletConfiguration> | undefined;
  /** Certificate of the HTTPS server and the authority of its clients; absent: no server. */
  readonly tls?: KubeletTls | undefined;
  /** What the node says it is: `v1.35.0`. */
  readonly version?: string | undefined;
  /** Called when the node has become Ready; again each time it comes back. */
  readonly onReady?: (() => void) | undefined;
}

/**
 * Runs the node agent until the signal aborts. It finds pods that run already and leaves them as they are; on its end it
 * leaves them running.
 */
export async function runKubelet(options: KubeletOptions): Promise<void> {
  const { client, clock, logger, nodeName, nodeIps, rootDir, random = systemRandom } = options;
  const configuration = { ...DEFAULT_CONFIGURATION, ...options.configuration };
  const podsFolder = join(rootDir, "pods");
  await mkdir(podsFolder, { recursive: true, mode: 0o750 });
  await mkdir(configuration.podLogsDir, { recursive: true, mode: 0o755 });

  await using scope = new TaskScope(options.signal);
  const { signal } = scope;
  const cri = createCriClient(options.criEndpoint, configuration.runtimeRequestTimeoutSeconds * 1000);
  await using recorder = createEventRecorder({ client, component: "kubelet", host: nodeName, clock, logger });
  const [machine, cgroups, resolvConf] = await Promise.all([
    readMachine(podsFolder),
    openPodCgroups(configuration.cgroupRoot),
    readFile(configuration.resolvConf, "utf8").catch(() => ""),
    ensureMountPoint(podsFolder, "rshared"),
  ]);
  let becomeReady: () => void = () => {};
  const ready = new Promise<void>((resolve) => (becomeReady = resolve));
  const agent = createNodeAgent({
    client,
    cri,
    clock,
    logger,
    recorder,
    configuration,
    machine,
    nodeName,
    nodeIps,
    version: options.version ?? COMPONENT_VERSION,
    onReady() {
      becomeReady();
      options.onReady?.();
    },
  });
  await using objects = createReferencedObjects({ client, clock, logger }, (uids) => {
    for (const uid of uids) pods.worker(uid)?.refreshVolumes();
  });
  const { allocatable } = nodeResources(machine, configuration);
  const amounts = {
    cpuMillis: quantityMillis(allocatable["cpu"]),
    memoryBytes: quantityUnits(allocatable["memory"]),
    ephemeralStorageBytes: quantityUnits(allocatable["ephemeral-storage"]),
  };
  const volumes = createVolumeManager({ client, objects, clock, podsFolder, nodeIps, node: () => amounts });
  await using services = createInformer({ client, clock, logger }, Service, { transform: dropManagedFields });
  using statuses = createStatusManager({ client, clock, logger, signal, target: (pod) => pods.shown(pod) });
  const pods: PodManager = new PodManager({
    client,
    cri,
    clock,
    random,
    logger,
    recorder,
    statuses,
    images: createImageManager({
      cri,
      clock,
      isSerial: configuration.serializeImagePulls,
      pullTimeoutMs: configuration.imagePullTimeoutSeconds * 1000,
    }),
    objects,
    volumes,
    cgroups,
    context: {
      rootFolder: rootDir,
      podLogsFolder: configuration.podLogsDir,
      dns: {
        clusterDns: configuration.clusterDNS,
        clusterDomain: configuration.clusterDomain,
        host: parseResolvConf(resolvConf),
      },
      memoryBytes: machine.memoryBytes,
      hasCpuQuota: configuration.cpuCFSQuota,
      cgroupParent: (pod) => cgroups.pathOf(pod),
    },
    amounts: () => amounts,
    services: () => services.lister.list(),
    nodeIps,
    nodeName,
    podsFolder,
    runtimeName: () => agent.runtimeName,
    ready: ready.then(async () => services.waitForSync(signal)),
    maxContainerBackoffMs: configuration.crashLoopMaxBackoffSeconds * 1000,
    node: () => agent.node,
    changed: () => agent.poke(),
  });

  scope.run(async (stop) => agent.run(stop));
  scope.run(async (stop) => watchRuntime({ cri, clock, logger }, (uid) => pods.poke(uid), stop));
  const { staticPodPath } = configuration;
  if (staticPodPath !== undefined) {
    scope.run(async (stop) =>
      watchStaticPods(staticPodPath, { nodeName, clock, logger }, (all) => pods.setStatic(all), stop),
    );
  }
  scope.run(async (stop) => runLogRotation({ cri, clock, logger, pods, configuration }, stop));
  scope.run(async (stop) => runGarbageCollection({ cri, clock, logger, configuration, pods }, stop));
  const { tls } = options;
  if (tls !== undefined) {
    scope.run(async (stop) =>
      serveKubelet(
        { client, cri, clock, logger, pods, configuration, tls, nodeName, machine, version: options.version },
        stop,
      ),
    );
  }
  scope.run(async (stop) => {
    // The node's object first: admission compares with it.
    while (agent.node === undefined) await sleep(clock, 20, stop);
    await using informer = createInformer({ client, clock, logger }, Pod, {
      fieldSelector: `spec.nodeName=${nodeName}`,
      transform: dropManagedFields,
    });
    informer.addHandlers({
      added: (pod) => pods.upsert(pod),
      updated: (_old, pod) => pods.upsert(pod),
      deleted: (pod) => pods.delete(pod),
    });
    await informer.waitForSync(stop);
    await pods.adoptOrphans();
    await new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
  });
  try {
    await scope.join();
  } finally {
    await pods.close();
    await recorder.flush();
    cri.close();
  }
}
