import { spawn, type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { CommandError } from "./run.ts";

export interface SpawnChildOptions {
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Leave standard input closed (`/dev/null`). */
  readonly noStdin?: boolean | undefined;
  /** Put the child into a session of its own, so that it outlives us and gets no terminal signals. */
  readonly detached?: boolean | undefined;
}

/** A program running with its standard streams in our hands. */
export interface Child {
  readonly pid: number;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The exit code, 128 + signal number when killed; settles after both outputs have ended. Never rejects. */
  readonly exited: Promise<number>;
  kill(signal?: NodeJS.Signals): void;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** What a shell would report for a program's end. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? (signal === null ? 1 : 128 + (SIGNAL_NUMBERS[signal] ?? 0));
}

/** Starts a program, without a shell. Rejects with CommandError when it cannot be started. */
export function spawnChild(command: string, args: readonly string[], options: SpawnChildOptions = {}): Promise<Child> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(command, args, {
      stdio: [options.noStdin === true ? "ignore" : "pipe", "pipe", "pipe"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
      ...(options.detached === undefined ? {} : { detached: options.detached }),
    });
    const exited = new Promise<number>((done) => {
      child.once("close", (code, signal) => done(exitCodeOf(code, signal)));
    });
    child.once("error", (cause) => reject(new CommandError(command, undefined, cause.message, { cause })));
    child.once("spawn", () => {
      // A reader that went away is seen through the exit code, not as an error of the pipe.
      child.stdin?.on("error", () => {});
      resolve({
        pid: child.pid as number,
        stdin: child.stdin ?? undefined,
        stdout: child.stdout as Readable,
        stderr: child.stderr as Readable,
        exited,
        kill: (signal = "SIGTERM") => void child.kill(signal),
      });
    });
  });
}

/**
 * Runs a program that leaves a process behind: its end is what is waited for, not the end of the streams, which the
 * process it leaves would hold open. Its complaints come through a file descriptor that nobody waits on.
 */
export function spawnDetached(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], detached: true });
    let complaint = "";
    child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString("utf8")));
    child.once("error", (cause) => reject(new CommandError(command, undefined, cause.message, { cause })));
    child.once("exit", (code, signal) => {
      const status = exitCodeOf(code, signal);
      // What the program itself wrote is in the pipe by now.
      setImmediate(() => {
        child.stderr.destroy();
        if (status === 0) resolve();
        else reject(new CommandError(command, status, complaint));
      });
    });
  });
}
