import { spawn } from "node:child_process";

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string | Buffer | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Return instead of throwing when the exit code is not 0. */
  readonly allowFailure?: boolean | undefined;
}

export interface RunResult {
  /** Exit code; 128 + signal number when killed. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that could not be started or ended with a code other than 0. */
export class CommandError extends Error {
  readonly command: string;
  readonly code: number | undefined;
  readonly stderr: string;
  constructor(command: string, code: number | undefined, stderr: string, options?: ErrorOptions) {
    super(
      `${command}: ${stderr.trim() === "" ? (code === undefined ? "cannot be started" : `exit code ${code}`) : stderr.trim()}`,
      options,
    );
    this.name = "CommandError";
    this.command = command;
    this.code = code;
    this.stderr = stderr;
  }
}

/** Runs a program to its end, without a shell. Throws CommandError unless `allowFailure`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
    child.once("error", (cause) => reject(new CommandError(command, undefined, cause.message, { cause })));
    child.once("close", (code, signal) => {
      const result: RunResult = {
        code: code ?? (signal === null ? 1 : 128 + 9),
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
      };
      if (result.code !== 0 && options.allowFailure !== true) {
        reject(new CommandError([command, ...args.slice(0, 4)].join(" "), result.code, result.stderr));
      } else resolve(result);
    });
    if (options.input !== undefined) {
      // A program that ends before it has read everything is no error of ours: its exit code tells.
      child.stdin?.on("error", () => {});
      child.stdin?.end(options.input);
    }
  });
}
