import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { aborted, type Clock, type Logger } from "@coracle/base";
import { openClusterPki, renderKubeconfig, type ClusterPki } from "@coracle/pki";
import { clusterPaths, nthAddress, type ClusterConfig } from "../cluster-config.ts";
import { createClusterNetwork } from "../cluster-network.ts";
import { rememberSwitches } from "../node-network.ts";
import { isAlive, readState, removeClusterDir, startTicksOf, writeState, type ClusterState } from "./cluster-state.ts";
import { removeNodeLeftovers } from "./node-leftovers.ts";
import { superviseProcess, type ProcessSpec, type RunningProcess } from "./supervised-process.ts";

export interface RunClusterDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the cluster. */
  readonly signal: AbortSignal;
  /** Folder with the bundled processes. */
  readonly bundles: string;
  /** Told when something a person waits for has happened. */
  progress(step: "certificates" | "api-server" | "nodes", elapsedMs: number): void;
}

/** How long processes may take to end by themselves before they are killed. */
const STOP_GRACE_MS = 1500;

/** A cluster of that name runs already, or a part of an old one still does. */
export class ClusterRunningError extends Error {
  override readonly name = "ClusterRunningError";
}

/**
 * Runs a whole cluster until the signal aborts: keys, one process per group of components, restarts, and at the end
 * the removal of all that was made on the host. Resolves when nothing is left (but the data, unless ephemeral).
 */
export async function runCluster(config: ClusterConfig, deps: RunClusterDeps): Promise<void> {
  const startedAt = deps.clock.monotonicMs();
  const elapsed = (): number => deps.clock.monotonicMs() - startedAt;
  const paths = clusterPaths(config);
  await clearFormerRun(config, deps);
  mkdirSync(config.runDir, { recursive: true, mode: 0o755 });
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });

  let phase: ClusterState["phase"] = "starting";
  let running: RunningProcess[] = [];
  const recordState = (): void =>
    writeState(paths.state, {
      name: config.name,
      dataDir: config.dataDir,
      runDir: config.runDir,
      kubeconfig: config.kubeconfig,
      phase,
      processes: [
        {
          name: "supervisor",
          pid: process.pid,
          startTicks: startTicksOf(process.pid) ?? 0,
          components: ["supervisor"],
        },
        ...running.flatMap(({ spec, pid }) =>
          pid === undefined
            ? []
            : [
                {
                  name: spec.name,
                  pid,
                  startTicks: startTicksOf(pid) ?? 0,
                  components: spec.components,
                  ...(spec.node === undefined ? {} : { node: spec.node }),
                },
              ],
        ),
      ],
    });
  recordState();

  // Before any process of a node changes them.
  if (config.nodes.length > 0) await rememberSwitches(config);
  await Promise.all([createClusterNetwork(config), Promise.resolve(writeKeys(config, deps.clock.now()))]);
  writeFileSync(paths.config, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
  deps.progress("certificates", elapsed());

  const start = (spec: ProcessSpec): RunningProcess =>
    superviseProcess(spec, { clock: deps.clock, logger: deps.logger, changed: recordState });
  try {
    const [apiServerSpec, ...otherSpecs] = processesOf(config, deps.bundles);
    const apiServer = start(apiServerSpec);
    running = [apiServer, ...otherSpecs.map(start)];
    recordState();
    await untilReadyOrAborted(apiServer, deps.signal);
    if (!deps.signal.aborted) {
      deps.progress("api-server", elapsed());
      const others = running.slice(1);
      for (const process of others) process.release();
      await Promise.race([Promise.all(others.map((process) => process.ready())), aborted(deps.signal)]);
    }
    if (!deps.signal.aborted) {
      phase = "running";
      recordState();
      deps.progress("nodes", elapsed());
      await aborted(deps.signal);
    }
  } finally {
    phase = "stopping";
    recordState();
    // Nodes first: what they report in their last moments still finds an API server.
    const [apiServer, ...others] = running;
    const nodesEnded = Promise.all(others.map((process) => process.stop(STOP_GRACE_MS)));
    await Promise.all([
      removeNodeLeftovers(config, deps.bundles, deps.logger, nodesEnded),
      nodesEnded.then(() => apiServer?.stop(STOP_GRACE_MS)),
    ]);
    removeClusterDir(config.runDir);
    if (config.ephemeral) removeClusterDir(config.dataDir);
  }
}

async function untilReadyOrAborted(process: RunningProcess, signal: AbortSignal): Promise<void> {
  await Promise.race([process.ready(), aborted(signal)]);
}

/** Ends what a supervisor that was killed left behind. Throws when that supervisor still runs. */
async function clearFormerRun(config: ClusterConfig, deps: RunClusterDeps): Promise<void> {
  const former = readState(config.name, dirname(config.runDir));
  if (former === undefined) return;
  const supervisor = former.processes.find((process) => process.name === "supervisor");
  if (supervisor !== undefined && supervisor.pid !== process.pid && isAlive(supervisor)) {
    throw new ClusterRunningError(
      `a cluster named ${config.name} is running already (pid ${supervisor.pid}); end it with: coracle down --name ${config.name}`,
    );
  }
  await endProcesses(former, deps.clock);
}

/** Ends the recorded processes that still live: SIGTERM, then SIGKILL. */
export async function endProcesses(state: ClusterState, clock: Clock): Promise<void> {
  const living = () => state.processes.filter((p) => p.pid !== process.pid && isAlive(p));
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (const { pid } of living()) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
    // Not our children: their end can only be looked at.
    for (let waitedMs = 0; waitedMs < STOP_GRACE_MS && living().length > 0; waitedMs += 20) {
      await new Promise<void>((resolve) => clock.after(20, resolve));
    }
  }
}

function writeKeys(config: ClusterConfig, now: number): ClusterPki {
  const paths = clusterPaths(config);
  const pki = openClusterPki({
    dir: paths.pki,
    apiServerNames: [config.advertiseAddress, nthAddress(config.serviceCidr, 1)],
    now,
  });
  const server = `https://127.0.0.1:${config.securePort}`;
  const write = (file: string, user: string, client: { cert: string; key: string }, from = server): void => {
    mkdirSync(dirname(file), { recursive: true });
    const text = renderKubeconfig({ clusterName: config.name, userName: user, server: from, ca: pki.ca.cert, client });
    // All of the file or nothing of it: somebody may be reading.
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  write(config.kubeconfig, "admin", pki.client("admin"));
  for (const name of ["kube-scheduler", "kube-controller-manager"] as const)
    write(paths.kubeconfig(name), name, pki.client(name));
  if (config.cloud !== undefined) {
    const name = "cloud-controller-manager";
    write(paths.kubeconfig(name), name, pki.client(name));
  }
  pki.client("apiserver-kubelet-client");
  const fromNodes = `https://${config.advertiseAddress}:${config.securePort}`;
  for (const node of config.nodes) {
    const { client } = pki.node(node.name, [node.address]);
    write(paths.kubeconfig(`kubelet-${node.name}`), `system:node:${node.name}`, client, fromNodes);
    write(paths.kubeconfig(`kube-proxy-${node.name}`), "kube-proxy", pki.client("kube-proxy"), fromNodes);
    if (node.hasDns) {
      const dns = paths.kubeconfig("cluster-dns");
      if (!existsSync(dns))
        write(
          dns,
          "cluster-dns",
          pki.issueClient({
            commonName: "system:serviceaccount:kube-system:coredns",
            organizations: ["system:serviceaccounts"],
          }),
          fromNodes,
        );
    }
  }
  return pki;
}

/**
 * Flags of Node for each process. These are small programs, and memory is what people count; but for the API server,
 * whose requests in flight should not outlive a collection of new objects: with 2 MB for those it does a quarter less. Its heap
 * may grow to twice of what is in use before it is collected, not to four times of it.
 */
const nodeFlagsOf = (bundle: string): readonly string[] =>
  bundle === "api-server" ? ["--heap-growing-percent=100"] : ["--max-semi-space-size=2"];

function processesOf(config: ClusterConfig, bundles: string): [ProcessSpec, ...ProcessSpec[]] {
  const paths = clusterPaths(config);
  const spec = (
    name: string,
    bundle: string,
    components: readonly string[],
    node?: ClusterConfig["nodes"][number],
  ): ProcessSpec => {
    const args = [
      ...nodeFlagsOf(bundle),
      join(bundles, `${bundle}.cjs`),
      "--cluster",
      paths.config,
      ...(node === undefined ? [] : ["--node", node.name]),
    ];
    const inNamespace = node?.networkNamespace !== undefined;
    return {
      name,
      components,
      node: node?.name,
      command: inNamespace ? "nsenter" : process.execPath,
      args: inNamespace ? [`--net=${node.networkNamespace}`, process.execPath, ...args] : args,
      logFile: join(paths.logs, `${name}.log`),
    };
  };
  return [
    spec("api-server", "api-server", ["kube-apiserver", "etcd"]),
    spec("controllers", "controllers", ["kube-scheduler", "kube-controller-manager"]),
    ...(config.cloud === undefined ? [] : [spec("cloud", "cloud", ["cloud-controller-manager"])]),
    ...config.nodes.flatMap((node) => [
      ...(config.runtime.startsWith("unix://")
        ? []
        : [spec(`runtime-${node.name}`, "runtime", ["container-runtime", "cni"], node)]),
      spec(`node-${node.name}`, "node", ["kubelet", "kube-proxy", ...(node.hasDns ? ["cluster-dns"] : [])], node),
    ]),
  ];
}
