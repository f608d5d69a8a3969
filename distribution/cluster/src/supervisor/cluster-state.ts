import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** One process as `coracle status --json` shows it. */
export interface ProcessState {
  readonly name: string;
  readonly pid: number;
  /** Start time in clock ticks since boot: tells a process from a later one of the same number. */
  readonly startTicks: number;
  readonly components: readonly string[];
  readonly node?: string | undefined;
}

/** What is written about a running cluster, for `status` and `down`. */
export interface ClusterState {
  readonly name: string;
  readonly dataDir: string;
  readonly runDir: string;
  readonly kubeconfig: string;
  readonly phase: "starting" | "running" | "stopping";
  readonly processes: readonly ProcessState[];
}

/** Directory under which each running cluster has its own. Users other than root, who may run control planes, have theirs. */
export const RUN_ROOT = runRootOf(process.getuid?.(), process.env["XDG_RUNTIME_DIR"]);

function runRootOf(uid: number | undefined, userRuntimeDir: string | undefined): string {
  if (uid === 0) return "/run/coracle";
  return userRuntimeDir === undefined ? join(tmpdir(), `coracle-${uid ?? "user"}`) : join(userRuntimeDir, "coracle");
}

/** Directory under which clusters keep their data unless told otherwise. */
export const DATA_ROOT: string =
  process.getuid?.() === 0 ? "/var/lib/coracle" : join(homedir(), ".local/share/coracle");

export function writeState(file: string, state: ClusterState): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** The state of a cluster that was started on this machine; undefined when there is none. */
export function readState(name: string, runRoot = RUN_ROOT): ClusterState | undefined {
  try {
    return JSON.parse(readFileSync(join(runRoot, name, "state.json"), "utf8")) as ClusterState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Names of all clusters with a state file. */
export function listClusters(runRoot = RUN_ROOT): string[] {
  try {
    return readdirSync(runRoot).filter((name) => readState(name, runRoot) !== undefined);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Removes a cluster's run or data directory, and the one above it when this was the last in it. */
export function removeClusterDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  try {
    if (dirname(dir).endsWith("/coracle")) rmdirSync(dirname(dir));
  } catch (error) {
    if (!["ENOTEMPTY", "ENOENT", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); undefined when it is gone or a zombie. */
export function startTicksOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : Number(fields[19]);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Whether the process still runs and is the one that was recorded. */
export function isAlive(process: Pick<ProcessState, "pid" | "startTicks">): boolean {
  return startTicksOf(process.pid) === process.startTicks;
}
