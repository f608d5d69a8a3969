import { watch } from "node:fs";
import { open, stat, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { spawnChild } from "@coracle/linux";
import type { TerminalSize } from "@coracle/client/streaming";
import type { ContainerManager } from "../container/container-manager.ts";
import { parseLogLines } from "../container/container-log.ts";
import { CriError } from "../cri-error.ts";

/** A client that wants to sit at a container's own program. */
export interface AttachStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resize: AsyncIterable<TerminalSize>;
  readonly signal: AbortSignal;
}

/**
 * Connects streams to a running container until it ends or the client goes. Output comes from the log that conmon
 * writes, from now on; input and terminal size go to conmon.
 */
export async function attach(containers: ContainerManager, containerId: string, streams: AttachStreams): Promise<void> {
  const record = containers.get(containerId);
  if (record.startedAt === undefined || record.finishedAt !== undefined) {
    throw new CriError(
      "FAILED_PRECONDITION",
      `failed to attach in container: container is in ${record.finishedAt === undefined ? "CONTAINER_CREATED" : "CONTAINER_EXITED"} state`,
    );
  }
  const bundle = containers.bundleOf(record.id);
  const gone = new Promise<void>((resolve) => {
    if (streams.signal.aborted) resolve();
    else streams.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const exited = containers.waitForExit(record.id);
  const follower = await followLog(record.logPath, {
    stdout: streams.stdout,
    stderr: record.config.tty === true ? streams.stdout : streams.stderr,
  });
  const input =
    streams.stdin === undefined || record.config.stdin !== true ? undefined : await feedInput(bundle, streams.stdin);
  const sizes = followSizes(bundle, streams.resize);
  try {
    await Promise.race([exited, gone, sizes.then(() => gone)]);
    // The last lines are in the file before the exit is known.
    await follower.drain();
  } finally {
    follower[Symbol.dispose]();
    input?.[Symbol.dispose]();
  }
}

/** conmon's socket takes whole records, which Node cannot send: socat can. */
async function feedInput(bundle: string, stdin: Readable): Promise<Disposable> {
  const child = await spawnChild("socat", ["-u", "-", "UNIX-CONNECT:attach,type=5"], { cwd: bundle });
  child.stdout.resume();
  child.stderr.resume();
  if (child.stdin !== undefined) stdin.pipe(child.stdin);
  return {
    [Symbol.dispose]() {
      stdin.unpipe();
      child.kill();
    },
  };
}

async function followSizes(bundle: string, sizes: AsyncIterable<TerminalSize>): Promise<void> {
  for await (const { width, height } of sizes) {
    await writeFile(join(bundle, "ctl"), `1 ${height} ${width}\n`).catch(() => {});
  }
}

interface LogFollower extends Disposable {
  /** Reads what is there by now. */
  drain(): Promise<void>;
}

async function followLog(
  path: string,
  to: { readonly stdout: Writable | undefined; readonly stderr: Writable | undefined },
): Promise<LogFollower> {
  let file: FileHandle = await open(path, "r");
  let position = (await file.stat()).size;
  let inode = (await file.stat()).ino;
  let rest = Buffer.alloc(0);
  const chunk = Buffer.alloc(64 * 1024);
  const readOn = async (): Promise<void> => {
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      const parsed = parseLogLines(Buffer.concat([rest, chunk.subarray(0, bytesRead)]));
      rest = parsed.rest as Buffer<ArrayBuffer>;
      for (const entry of parsed.entries) {
        const target = to[entry.stream];
        if (target === undefined || target.destroyed || target.write(entry.data)) continue;
        await new Promise<void>((resolve) => target.once("drain", resolve).once("close", resolve));
      }
    }
  };
  const look = async (): Promise<void> => {
    await readOn();
    const now = await stat(path).catch(() => undefined);
    if (now === undefined || now.ino === inode) return;
    // The file was moved away and begun anew.
    await file.close();
    file = await open(path, "r");
    inode = now.ino;
    position = 0;
    await readOn();
  };
  let turn: Promise<void> = Promise.resolve();
  let isClosed = false;
  const next = (): Promise<void> => (turn = turn.then(() => (isClosed ? undefined : look())).catch(() => {}));
  const onChange = (): void => {
    next().catch(() => {});
  };
  // The folder too: after a rotation the file that is watched is the old one.
  const watchers = [watch(path, onChange), watch(join(path, ".."), onChange)];
  for (const watcher of watchers) watcher.on("error", () => {});
  onChange();
  return {
    drain: next,
    [Symbol.dispose]() {
      isClosed = true;
      for (const watcher of watchers) watcher.close();
      turn.then(() => file.close()).catch(() => {});
    },
  };
}
