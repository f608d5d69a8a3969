import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { createLogger, systemClock } from "@coracle/base";
import {
  ClusterRunningError,
  clusterNetworkOf,
  DATA_ROOT,
  namespacedNodes,
  nodeAddress,
  nthAddress,
  ownAddressPool,
  ProcessFailedError,
  RUN_ROOT,
  runCluster,
  type CloudConfig,
  type ClusterConfig,
  type NodeConfig,
  type ProxyMode,
} from "@coracle/cluster";
import { InvalidArgumentError, Option, type Command } from "commander";
import { CliError } from "../exit.ts";
import { findMissingTools } from "../host-tools.ts";
import { bundlesDir } from "./bundles.ts";

interface UpOptions {
  readonly name: string;
  readonly dataDir?: string;
  readonly ephemeral: boolean;
  readonly nodes: number;
  readonly detach: boolean;
  readonly kubeconfig?: string;
  readonly runtime: string;
  readonly proxyMode: ProxyMode;
  readonly store: "embedded" | "memory";
  readonly securePort: number;
  readonly addons: boolean;
  readonly cloudProvider?: string;
  readonly cloudConfig?: string;
  readonly loadBalancerPool?: string;
  readonly verbose: boolean;
}

const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
    return value;
  };

function clusterName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError("It must be lower-case letters, digits and '-', at most 32.");
  }
  return text;
}

function runtimeOf(text: string): string {
  if (!["auto", "crun", "runc"].includes(text) && !text.startsWith("unix:///")) {
    throw new InvalidArgumentError("It must be auto, crun, runc or unix:///PATH.");
  }
  return text;
}

/** Adds `coracle up`. */
export function addUp(root: Command): void {
  root
    .command("up")
    .description("run a cluster until Ctrl-C (or, with --detach, until `coracle down`)")
    .option("--name <name>", "name of the cluster", clusterName, "coracle")
    .option("--data-dir <dir>", "where the cluster keeps everything (default /var/lib/coracle/NAME)")
    .option("--ephemeral", "keep nothing on disk after `down`", false)
    .option("--nodes <n>", "number of nodes; 0 is a control plane alone", wholeNumber(0, 50), 1)
    .option("--detach", "return when the cluster is ready", false)
    .option("--kubeconfig <file>", "where to write the admin's kubeconfig (default DATA_DIR/kubeconfig/admin)")
    .option("--runtime <name>", "auto, crun, runc, or unix:///PATH of a CRI runtime", runtimeOf, "auto")
    .addOption(
      new Option("--proxy-mode <mode>", "how Services become packet rules")
        .choices(["iptables", "nftables"])
        .default("iptables"),
    )
    .addOption(
      new Option("--store <engine>", "where objects are kept").choices(["embedded", "memory"]).default("embedded"),
    )
    .option("--secure-port <port>", "port of the API server", wholeNumber(1, 65535), 6443)
    .option(
      "--cloud-provider <name>",
      "who gives LoadBalancers their addresses: local, or a package or file of a provider",
    )
    .option("--cloud-config <file>", "what the provider is told")
    .option(
      "--load-balancer-pool <ranges>",
      "free addresses of the network for LoadBalancers, as A-B or A/N; means local",
    )
    .option("--no-addons", "without cluster DNS")
    .option("--verbose", "debug logs", false)
    .action(async (options: UpOptions) => {
      const config = configOf(options);
      await assertStartable(config);
      if (options.detach) await startDetached(config);
      else await runInForeground(config);
    });
  root
    .command("supervise", { hidden: true })
    .requiredOption("--config <file>")
    .action(async ({ config }: { readonly config: string }) => {
      // The command that started us reads until the cluster is ready, and is gone then.
      process.stdout.on("error", () => {});
      try {
        await supervise(JSON.parse(readFileSync(config, "utf8")) as ClusterConfig, (line) =>
          process.stdout.write(`${line}\n`),
        );
      } catch (error) {
        process.stdout.write(`failed: ${error instanceof Error ? error.message : String(error)}\n`);
        throw error;
      }
    });
}

function configOf(options: UpOptions): ClusterConfig {
  const dataDir = resolve(options.dataDir ?? join(DATA_ROOT, options.name));
  const address = nodeAddress();
  if (address === undefined && options.nodes === 1) {
    throw new CliError(
      "this machine has only loopback addresses; a node needs one that pods can reach (try --nodes 0)",
    );
  }
  const serviceCidr = "10.96.0.0/16";
  // One node shares this machine's network; several get a namespace and an address each.
  const isAlone = options.nodes <= 1;
  const own: NodeConfig = {
    name: hostname()
      .toLowerCase()
      .replace(/[^-a-z0-9.]/g, "-"),
    address: address ?? "127.0.0.1",
    hasDns: options.addons,
    kubeletPort: 10250,
  };
  const nodes = isAlone ? [own].slice(0, options.nodes) : namespacedNodes(options.name, options.nodes, options.addons);
  return {
    name: options.name,
    dataDir,
    runDir: join(RUN_ROOT, options.name),
    ephemeral: options.ephemeral,
    nodes,
    securePort: options.securePort,
    advertiseAddress: isAlone ? (address ?? "127.0.0.1") : clusterNetworkOf(options.name).hostAddress,
    kubeconfig: resolve(options.kubeconfig ?? join(dataDir, "kubeconfig/admin")),
    store: options.store,
    runtime: options.runtime,
    proxyMode: options.proxyMode,
    addons: options.addons,
    cloud: cloudOf(options),
    serviceCidr,
    podCidr: "10.244.0.0/16",
    clusterDomain: "cluster.local",
    clusterDnsAddress: nthAddress(serviceCidr, 10),
    logLevel: options.verbose ? "debug" : "info",
    isDetached: options.detach,
  };
}

function cloudOf(options: UpOptions): CloudConfig | undefined {
  const { cloudProvider, cloudConfig, loadBalancerPool, nodes, name } = options;
  const provider = cloudProvider ?? (loadBalancerPool === undefined ? undefined : "local");
  if (provider === undefined) {
    if (cloudConfig !== undefined)
      throw new CliError("--cloud-config is for a provider: name it with --cloud-provider");
    return undefined;
  }
  const configFile = cloudConfig === undefined ? undefined : resolve(cloudConfig);
  if (provider !== "local") {
    if (loadBalancerPool !== undefined) throw new CliError("--load-balancer-pool is for the provider local");
    return { provider: moduleOf(provider), configFile, addressPool: [] };
  }
  if (loadBalancerPool?.includes(":") === true)
    throw new CliError("--load-balancer-pool takes IPv4 addresses: the nodes' kube-proxy serves no Service of IPv6");
  const ownPool = nodes > 1 ? ownAddressPool(name) : [];
  return { provider, configFile, addressPool: loadBalancerPool?.split(",") ?? ownPool };
}

/** The file of a provider's module, found as a module in this folder would find it. */
function moduleOf(provider: string): string {
  try {
    return createRequire(join(process.cwd(), "package.json")).resolve(provider);
  } catch (error) {
    throw new CliError(`unknown cloud provider ${provider}: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** Says in one line what stands in the way, before anything is touched. */
async function assertStartable(config: ClusterConfig): Promise<void> {
  if (config.nodes.length > 0) {
    if (process.getuid?.() !== 0)
      throw new CliError("a node needs root (containers, network); run it with sudo, or use --nodes 0");
    const missing = findMissingTools(config);
    if (missing.length > 0)
      throw new CliError(`this machine lacks: ${missing.map((tool) => tool.name).join(", ")}; run: coracle doctor`);
  }
  const ports = [
    config.securePort,
    ...config.nodes.filter((node) => node.networkNamespace === undefined).map((node) => node.kubeletPort),
  ];
  for (const port of ports) {
    if (!(await isFree(port))) {
      throw new CliError(
        `port ${port} is in use${port === config.securePort ? "; choose another with --secure-port" : ""}`,
      );
    }
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolveFree) => {
    const probe = createServer();
    probe.once("error", () => resolveFree(false));
    probe.listen(port, "0.0.0.0", () => probe.close(() => resolveFree(true)));
  });
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

function whatNext(config: ClusterConfig): string {
  const name = config.name === "coracle" ? "" : ` --name ${config.name}`;
  return [
    "",
    `  kubeconfig   ${config.kubeconfig}`,
    `  try          export KUBECONFIG=${config.kubeconfig}; kubectl get nodes`,
    `  or           npx coracle kubectl${name} get pods -A`,
    `  end it       npx coracle down${name}`,
    "",
  ].join("\n");
}

async function runInForeground(config: ClusterConfig): Promise<void> {
  console.log(`coracle: starting cluster ${config.name} (Ctrl-C ends it)`);
  await supervise(config, (line) => console.log(line));
  console.log("coracle: the cluster is down");
}

async function supervise(config: ClusterConfig, say: (line: string) => void): Promise<void> {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (!controller.signal.aborted) say("coracle: stopping");
      controller.abort(new DOMException(name, "AbortError"));
    });
  }
  process.on("SIGHUP", () => {});
  // The terminal is for what people wait for; the rest is in a file, as every process's log is.
  mkdirSync(join(config.dataDir, "logs"), { recursive: true });
  const log = openSync(join(config.dataDir, "logs/supervisor.log"), "a", 0o640);
  const logger = createLogger({
    write: (line) => void writeSync(log, line),
    level: "info",
    fields: { component: "supervisor" },
  });
  try {
    await runCluster(config, {
      clock: systemClock,
      logger,
      signal: controller.signal,
      bundles: bundlesDir(),
      progress(step, elapsedMs) {
        if (step === "api-server") say(`coracle: API server ready after ${seconds(elapsedMs)}`);
        if (step === "nodes") {
          if (config.nodes.length > 0)
            say(
              `coracle: ${config.nodes.length === 1 ? "node" : `${config.nodes.length} nodes`} ready after ${seconds(elapsedMs)}`,
            );
          say(whatNext(config));
        }
      },
    });
  } catch (error) {
    if (error instanceof ClusterRunningError || error instanceof ProcessFailedError) throw new CliError(error.message);
    throw error;
  }
}

/** How a detached supervisor tells its parent why it gives up. */
const FAILED = /^failed: (.*)$/m;

/** Starts a supervisor of its own session and waits until it says that everything is ready. */
async function startDetached(config: ClusterConfig): Promise<void> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  mkdirSync(join(config.dataDir, "logs"), { recursive: true });
  const file = join(config.dataDir, "supervise.json");
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const log = openSync(join(config.dataDir, "logs/supervisor.log"), "a", 0o640);
  const child = spawn(process.execPath, [join(bundlesDir(), "cli.cjs"), "supervise", "--config", file], {
    detached: true,
    stdio: ["ignore", "pipe", log],
  });
  const failure = await new Promise<string | undefined>((resolveDone, reject) => {
    let text = "";
    child.once("error", reject);
    child.once("exit", (code) => resolveDone(FAILED.exec(text)?.[1] ?? `its supervisor ended with ${code}`));
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (FAILED.test(text)) return; // its end tells
      process.stdout.write(chunk);
      if (text.includes("end it ")) resolveDone(undefined);
    });
  });
  if (failure !== undefined) throw new CliError(failure);
  child.stdout?.destroy();
  child.unref();
}
