import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { run, spawnChild, type Child } from "@coracle/linux";
import type { TerminalSize } from "@coracle/client/streaming";
import type { ContainerManager } from "../container/container-manager.ts";
import { CriError } from "../cri-error.ts";
import type { OciSpec } from "../oci/runtime-spec.ts";
import type { RuntimeContext } from "../runtime-context.ts";

/** A command to run beside a container's own program. */
export interface ExecRequest {
  readonly containerId: string;
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
}

/** A command that runs in a container. */
export interface ExecSession {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  /** With a terminal nothing comes here. */
  readonly stderr: Readable;
  /** Resolves after all output was given; rejects when the command could not be started. */
  readonly exitCode: Promise<number>;
  resize(size: TerminalSize): Promise<void>;
  /** Ends the command at once. */
  kill(): void;
}

const START_FAILED = 255;
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Starts a command in a running container. */
export async function startExec(
  context: RuntimeContext,
  containers: ContainerManager,
  request: ExecRequest,
): Promise<ExecSession> {
  const record = containers.get(request.containerId);
  if (record.startedAt === undefined || record.finishedAt !== undefined) {
    throw new CriError(
      "FAILED_PRECONDITION",
      `failed to exec in container: container is in ${record.finishedAt === undefined ? "CONTAINER_CREATED" : "CONTAINER_EXITED"} state`,
    );
  }
  if (request.command.length === 0)
    throw new CriError("INVALID_ARGUMENT", "you must specify at least 1 command for the container");
  const bundle = containers.bundleOf(record.id);
  const base = join(bundle, `exec-${randomBytes(6).toString("hex")}`);
  const files = { spec: `${base}.json`, pid: `${base}.pid`, log: `${base}.log` };
  const { process: own } = JSON.parse(await readFile(join(bundle, "config.json"), "utf8")) as OciSpec;
  const env = request.tty && !own.env.some((entry) => entry.startsWith("TERM=")) ? [...own.env, "TERM=xterm"] : own.env;
  await writeFile(files.spec, JSON.stringify({ ...own, args: request.command, terminal: request.tty, env }), {
    mode: 0o600,
  });
  const { oci, paths } = context;
  const args = [
    `--root=${paths.oci}`,
    `--log=${files.log}`,
    "exec",
    "--process",
    files.spec,
    "--pid-file",
    files.pid,
    record.id,
  ];
  const child = await spawnExec(oci.path, args, request);
  const readPid = (): number | undefined => {
    try {
      return Number(readFileSync(files.pid, "utf8")) || undefined;
    } catch {
      return undefined;
    }
  };
  const exitCode = child.exited.then(async (code) => {
    const complaint =
      code === START_FAILED || code === 1 ? (await readFile(files.log, "utf8").catch(() => "")).trim() : "";
    await Promise.all(Object.values(files).map((file) => rm(file, { force: true })));
    if (complaint !== "") {
      const why =
        complaint
          .split("\n")
          .at(-1)
          ?.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z: /, "") ?? "";
      throw new CriError(
        "UNKNOWN",
        `failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: ${why}`,
      );
    }
    return code;
  });
  exitCode.catch(() => {});
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    exitCode,
    async resize({ width, height }) {
      // The first size comes before the program is there; after a second it will not come any more.
      for (let attempt = 0; attempt < 100; attempt++) {
        const pid = readPid();
        if (pid !== undefined) return await setTerminalSize(`/proc/${pid}/fd/0`, width, height);
        await new Promise<void>((resolve) => context.clock.after(10, resolve));
      }
    },
    kill() {
      const pid = readPid();
      try {
        if (pid !== undefined) process.kill(pid, "SIGKILL");
      } catch {
        // Already gone.
      }
      child.kill("SIGKILL");
    },
  };
}

/** Node makes no pseudo terminals; script(1) does, and passes the exit code on. */
function spawnExec(program: string, args: readonly string[], request: ExecRequest): Promise<Child> {
  const options = { noStdin: !request.stdin && !request.tty };
  if (!request.tty) return spawnChild(program, args, options);
  const line = [program, ...args].map(quote).join(" ");
  return spawnChild("script", ["-qfec", line, "/dev/null"], {
    ...options,
    env: { PATH: process.env["PATH"] ?? "", SHELL: "/bin/sh" },
  });
}

async function setTerminalSize(device: string, width: number, height: number): Promise<void> {
  await run("stty", ["-F", device, "rows", String(height), "cols", String(width)], { allowFailure: true });
}

const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    // Beyond what any answer may hold the rest is read and dropped, so that the command can go on.
    if (size < MOST_OUTPUT_BYTES) chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks).subarray(0, MOST_OUTPUT_BYTES);
}

/** Runs a command to its end; `timeoutMs` 0 is no limit. */
export async function execSync(
  context: RuntimeContext,
  containers: ContainerManager,
  request: {
    readonly containerId: string;
    readonly command: readonly string[];
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  },
): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer; readonly exitCode: number }> {
  const session = await startExec(context, containers, { ...request, tty: false, stdin: false });
  let isLate = false;
  const stop = (): void => {
    session.kill();
    // What the command left running may hold the pipes open for ever.
    session.stdout.destroy();
    session.stderr.destroy();
  };
  const timer =
    request.timeoutMs > 0 ? context.clock.after(request.timeoutMs, () => ((isLate = true), stop())) : undefined;
  request.signal?.addEventListener("abort", stop, { once: true });
  try {
    const settled = await Promise.allSettled([collect(session.stdout), collect(session.stderr), session.exitCode]);
    if (isLate) {
      throw new CriError(
        "DEADLINE_EXCEEDED",
        `failed to exec in container: timeout ${request.timeoutMs / 1000}s exceeded: context deadline exceeded`,
      );
    }
    const [stdout, stderr, exitCode] = settled;
    if (exitCode.status === "rejected") throw exitCode.reason;
    return {
      stdout: stdout.status === "fulfilled" ? stdout.value : Buffer.alloc(0),
      stderr: stderr.status === "fulfilled" ? stderr.value : Buffer.alloc(0),
      exitCode: exitCode.value,
    };
  } finally {
    timer?.[Symbol.dispose]();
    request.signal?.removeEventListener("abort", stop);
  }
}
