import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Logger, Timer } from "@coracle/base";

/** A process that ended again and again before it ever served. */
export class ProcessFailedError extends Error {
  override readonly name = "ProcessFailedError";
}

/** One process of a cluster and the components that live in it. */
export interface ProcessSpec {
  /** Unique in the cluster; names the log file. */
  readonly name: string;
  readonly components: readonly string[];
  readonly node?: string | undefined;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly logFile: string;
}

export interface RunningProcess {
  readonly spec: ProcessSpec;
  readonly pid: number | undefined;
  /** Resolves at the first `ready` line after the newest start; rejects when stopped before, or when it never gets there. */
  ready(): Promise<void>;
  /** Tells the process, now and after each restart, that the API server serves. */
  release(): void;
  /** SIGTERM, and SIGKILL when that does not help within `graceMs`. Resolves when the process is gone. */
  stop(graceMs: number): Promise<void>;
}

const FIRST_RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** So many ends before the process was ever ready, and it will not be. */
const MAX_FAILED_STARTS = 3;
/** A process that ran so long starts over with the shortest wait. */
const STEADY_MS = 10_000;
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/**
 * Keeps a process running until stopped. Its standard input is a pipe that ends with the supervisor: a process that
 * reads the end exits. On descriptor 3 it says `ready` when it serves.
 */
export function superviseProcess(
  spec: ProcessSpec,
  deps: { readonly clock: Clock; readonly logger: Logger; readonly changed: () => void },
): RunningProcess {
  let child: ChildProcess | undefined;
  let restartTimer: Timer | undefined;
  let delayMs = FIRST_RESTART_MS;
  let stopping = false;
  let gone: (() => void) | undefined;
  let isReady = false;
  let wasEverReady = false;
  let failedStarts = 0;
  let isReleased = false;
  let waiters: { resolve: () => void; reject: (error: Error) => void }[] = [];

  const start = (): void => {
    const startedAt = deps.clock.monotonicMs();
    const log = openLog(spec.logFile);
    const started = spawn(spec.command, spec.args, {
      stdio: ["pipe", log, log, "pipe"],
      env: { ...process.env, ...spec.env },
      detached: true, // own process group: the terminal's Ctrl-C is for the supervisor alone
    });
    closeSync(log);
    child = started;
    started.stdin?.on("error", () => {});
    if (isReleased) started.stdin?.write("go\n");
    const readiness = started.stdio[3];
    readiness?.on("error", () => {});
    readiness?.on("data", () => {
      isReady = true;
      wasEverReady = true;
      for (const waiter of waiters.splice(0)) waiter.resolve();
      deps.changed();
    });
    started.once("error", (error) => deps.logger.error("process cannot be started", { process: spec.name, error }));
    started.once("close", (code, signal) => {
      child = undefined;
      isReady = false;
      deps.changed();
      if (stopping) {
        gone?.();
        return;
      }
      if (!wasEverReady && ++failedStarts >= MAX_FAILED_STARTS) {
        const error = new ProcessFailedError(`${spec.name} does not start: ${lastError(spec.logFile)}`);
        for (const waiter of waiters.splice(0)) waiter.reject(error);
        return;
      }
      if (deps.clock.monotonicMs() - startedAt > STEADY_MS) delayMs = FIRST_RESTART_MS;
      deps.logger.warn("process ended; starting it again", { process: spec.name, code, signal, delayMs });
      restartTimer = deps.clock.after(delayMs, start);
      delayMs = Math.min(delayMs * 2, MAX_RESTART_MS);
    });
    deps.changed();
  };
  start();

  return {
    spec,
    get pid() {
      return child?.pid;
    },
    ready: () =>
      isReady ? Promise.resolve() : new Promise<void>((resolve, reject) => waiters.push({ resolve, reject })),
    release() {
      isReleased = true;
      child?.stdin?.write("go\n");
    },
    async stop(graceMs) {
      stopping = true;
      restartTimer?.[Symbol.dispose]();
      for (const waiter of waiters.splice(0)) waiter.reject(new Error(`${spec.name} was stopped`));
      waiters = [];
      if (child === undefined) return;
      const ended = new Promise<void>((resolve) => {
        gone = resolve;
      });
      child.kill("SIGTERM");
      const kill = deps.clock.after(graceMs, () => child?.kill("SIGKILL"));
      await ended;
      kill[Symbol.dispose]();
    },
  };
}

/** The newest error of a process's log, in one line. */
function lastError(file: string): string {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n").reverse();
  for (const line of lines) {
    try {
      const { level, error, msg } = JSON.parse(line) as { level?: string; error?: string; msg?: string };
      if (level === "error")
        return `${String(error ?? msg)
          .split("\n")[0]
          ?.replace(/^\w*Error: /, "")} (log: ${file})`;
    } catch {
      // A crash of Node itself is not in our form: its message is the line that names an error.
      if (/Error\b.*:/.test(line)) return `${line.trim()} (log: ${file})`;
    }
  }
  return `see ${file}`;
}

/** Opens for appending; a log that has grown large is set aside first. */
function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, "a", 0o640);
}
