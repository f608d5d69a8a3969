import { cpSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unpackClientProgram, type ClusterState } from "@coracle/cluster";
import { run, type RunOptions, type RunResult } from "@coracle/linux";
import type { HostProcess, TestHost } from "../host/test-host.ts";

/** A whole cluster on a test host, driven by the command line that people use. */
export interface TestCluster extends AsyncDisposable {
  readonly name: string;
  readonly kubeconfig: string;
  readonly dataDir: string;
  /** Runs kubectl; answers what it printed. Throws what it complained about. */
  kubectl(...args: string[]): Promise<string>;
  /** The same with something on standard input. */
  kubectlWith(input: string | Buffer, ...args: string[]): Promise<string>;
  /** Runs kubectl whatever its exit code. */
  tryKubectl(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a kubectl that goes on (logs -f, port-forward) or that somebody types into. */
  startKubectl(args: readonly string[], options?: StartOptions): HostProcess;
  helm(...args: string[]): Promise<string>;
  /** Runs a command of coracle with `--name` of this cluster. */
  coracle(...args: string[]): Promise<RunResult>;
  status(): Promise<ClusterState>;
  /** Ends the cluster; what it printed. */
  down(): Promise<string>;
  /** Copies the logs of all processes to where they outlive the cluster, and names the folder. */
  keepLogs(): string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Behind a terminal of its own, of this size. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
}

export interface TestClusterOptions {
  /** Default: that of the host. */
  readonly name?: string;
  /** Further flags of `coracle up`. */
  readonly flags?: readonly string[];
  /** Keep the data at `down`. */
  readonly keepData?: boolean;
}

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));

/** Runs `coracle ARGS` on a test host, whatever its exit code. */
export async function runCoracle(
  host: TestHost,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  await ensureBuilt();
  return host.run(process.execPath, [coracleFile(), ...args], { allowFailure: true, ...options });
}

/** Path of the built command; CORACLE_TEST_DIST names another build's folder. */
export function coracleFile(): string {
  const dist = process.env["CORACLE_TEST_DIST"];
  return dist === undefined ? join(ROOT, "distribution/cli/bin/coracle.mjs") : join(dist, "cli.cjs");
}

let built: Promise<void> | undefined;

/** Builds dist/ when it is older than the sources. */
export function ensureBuilt(): Promise<void> {
  if (process.env["CORACLE_TEST_DIST"] !== undefined) return Promise.resolve();
  const setUp = new URL("../../../../scripts/setup.mjs", import.meta.url).href;
  const script = `const { setUp } = await import(${JSON.stringify(setUp)}); process.exit((await setUp({ needsHost: false })) ? 0 : 1);`;
  built ??= run(process.execPath, ["--input-type=module", "-e", script]).then(() => {});
  return built;
}

/** Brings up a cluster and waits until it is ready, as `coracle up --detach` does. */
export async function startCluster(host: TestHost, options: TestClusterOptions = {}): Promise<TestCluster> {
  const name = options.name ?? host.name;
  const dataDir = join("/var/lib/coracle", name);
  const kubeconfig = join(dataDir, "kubeconfig/admin");
  const flags = [...(options.keepData === true ? [] : ["--ephemeral"]), ...(options.flags ?? [])];
  const kubectlFile = unpackClientProgram("kubectl");
  // Caches of kubectl and helm go where the host removes them.
  const env = { KUBECONFIG: kubeconfig, HOME: host.dir };

  const keepLogs = (): string => {
    const target = join(ROOT, "node_modules/.cache/test-logs", name);
    rmSync(target, { recursive: true, force: true });
    if (existsSync(join(dataDir, "logs"))) cpSync(join(dataDir, "logs"), target, { recursive: true });
    return target;
  };
  const coracle = (...args: string[]): Promise<RunResult> => runCoracle(host, [...args, "--name", name]);
  const down = async (): Promise<string> => {
    const ended = await coracle("down");
    if (ended.code !== 0) throw new Error(`coracle down: ${ended.stderr}`);
    return ended.stdout;
  };

  const up = await coracle("up", ...flags, "--detach");
  if (up.code !== 0) {
    const logs = keepLogs();
    await coracle("down");
    throw new Error(`coracle up ended with ${up.code}: ${up.stderr.trim()} (logs: ${logs})`);
  }
  return {
    name,
    kubeconfig,
    dataDir,
    async kubectl(...args) {
      return (await host.run(kubectlFile, args, { env })).stdout;
    },
    async kubectlWith(input, ...args) {
      return (await host.run(kubectlFile, args, { env, input })).stdout;
    },
    tryKubectl: (args, more = {}) =>
      host.run(kubectlFile, args, { allowFailure: true, ...more, env: { ...env, ...more.env } }),
    startKubectl(args, more = {}) {
      const all = { ...env, ...more.env };
      if (more.terminal === undefined) return host.spawn(kubectlFile, args, all);
      const { rows, columns } = more.terminal;
      const line = [kubectlFile, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
      return host.spawn("script", ["-qfec", `stty rows ${rows} cols ${columns}; exec ${line}`, "/dev/null"], all);
    },
    async helm(...args) {
      return (await host.run(unpackClientProgram("helm"), args, { env })).stdout;
    },
    coracle,
    async status() {
      const { stdout, stderr, code } = await coracle("status", "--json");
      if (code !== 0) throw new Error(`coracle status: ${stderr}`);
      return JSON.parse(stdout) as ClusterState;
    },
    down,
    keepLogs,
    async [Symbol.asyncDispose]() {
      await down();
    },
  };
}
