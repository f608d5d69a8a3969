import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep, systemClock } from "@coracle/base";
import { ipBatch, run, type RunOptions, type RunResult } from "@coracle/linux";

/** In the environment of everything a test host runs: what is left can be told from what others run. */
export const MARKER = "CORACLE_TEST_HOST";

/** A program that runs on a test host until it ends or is killed. */
export interface HostProcess {
  readonly pid: number;
  /** Standard output and standard error as they came. */
  output(): string;
  readonly stdin: NodeJS.WritableStream;
  /** Exit code, 128 + signal number when killed; after the streams ended. */
  readonly exited: Promise<number>;
  kill(signal?: NodeJS.Signals): void;
}

/** A network namespace with an address of its own and no way out: what a machine is to a cluster, as far as packets go. */
export interface TestHost extends AsyncDisposable {
  readonly name: string;
  /** Path of the network namespace. */
  readonly netns: string;
  readonly address: string;
  /** Removed with the host. */
  readonly dir: string;
  /** Runs a program in the namespace to its end. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a program in the namespace; it is killed with the host at the latest. */
  spawn(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): HostProcess;
  /** Starts one of this package's programs (folder `programs`). */
  program(name: string, args: readonly string[]): HostProcess;
  /** Pids of all processes in the namespace. */
  processes(): number[];
}

let count = 0;

/** Makes a host. Needs root. Everything in it ends with it. */
export async function createTestHost(): Promise<TestHost> {
  const name = `cor-test-${process.pid}-${++count}`;
  const netns = `/run/netns/${name}`;
  const address = "172.30.7.2";
  const dir = mkdtempSync(join(tmpdir(), `${name}-`));
  await run("ip", ["netns", "add", name]);
  // Both ends stay inside: neighbours are asked for and none answers, nothing leaves.
  await ipBatch(
    [
      "link set lo up",
      "link add eth0 type veth peer name outside",
      `addr add ${address}/24 dev eth0`,
      // No link-local addresses that come a second later.
      "link set eth0 addrgenmode none",
      "link set outside addrgenmode none",
      "link set outside up",
      "link set eth0 up",
    ],
    { netns },
  );
  const children = new Set<ChildProcess>();
  const inside = (command: string, args: readonly string[]): [string, string[]] => [
    "nsenter",
    [`--net=${netns}`, command, ...args],
  ];
  const environment = (extra: Readonly<Record<string, string>> = {}): Record<string, string> => {
    const env: Record<string, string> = {};
    for (const [key, value] of Object.entries(process.env)) if (value !== undefined) env[key] = value;
    // Else kubectl and Node would be asked to reach a loopback address through a proxy.
    for (const key of ["http_proxy", "https_proxy", "all_proxy", "KUBECONFIG", "NODE_OPTIONS"]) {
      delete env[key];
      delete env[key.toUpperCase()];
    }
    return { ...env, ...extra, [MARKER]: name };
  };

  const start: TestHost["spawn"] = (command, args, env) => {
    const [program, all] = inside(command, args);
    const child = spawn(program, all, { stdio: "pipe", env: environment(env) });
    children.add(child);
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
    child.stdin.on("error", () => {});
    const exited = new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        children.delete(child);
        resolve(code ?? (signal === "SIGKILL" ? 137 : signal === "SIGINT" ? 130 : 143));
      });
    });
    return {
      pid: child.pid ?? -1,
      output: () => text,
      stdin: child.stdin,
      exited,
      kill: (signal = "SIGTERM") => void child.kill(signal),
    };
  };

  const processes = (): number[] => processesIn(netns);
  return {
    name,
    netns,
    address,
    dir,
    processes,
    spawn: start,
    run(command, args, options = {}) {
      const [program, all] = inside(command, args);
      return run(program, all, { ...options, env: environment(options.env) });
    },
    program: (file, args) => start(process.execPath, [programPath(file), ...args]),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGTERM");
      for (let waited = 0; processes().length > 0 && waited < 3000; waited += 50) {
        if (waited >= 1000) for (const pid of processes()) killIfThere(pid);
        await sleep(systemClock, 50);
      }
      await run("ip", ["netns", "del", name], { allowFailure: true });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Path of a program of this package that runs on its own, inside a host or a pod. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`../../programs/${name}.mjs`, import.meta.url));
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function processesIn(netns: string): number[] {
  const wanted = inodeOf(netns);
  if (wanted === undefined) return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`) === wanted;
      } catch {
        return false; // gone meanwhile, or a zombie
      }
    });
}

function inodeOf(netns: string): string | undefined {
  // A pinned namespace is a mount; mountinfo names it as /proc/PID/ns/net would.
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const fields = line.split(" ");
    if (fields[4] === netns && fields[3]?.startsWith("net:")) return fields[3];
  }
  return undefined;
}
