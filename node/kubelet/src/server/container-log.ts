import { open, stat, readdir } from "node:fs/promises";
import { watch } from "node:fs";
import { once } from "node:events";
import { basename, dirname, join } from "node:path";
import type { ServerResponse } from "node:http";
import type { ContainerRun } from "../pod/runtime-state.ts";
import type { PodWorker } from "../pod/pod-worker.ts";

/** What of a log is asked for. */
export interface LogOptions {
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly sinceMs: number | undefined;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  /** Only one of the two outputs: `Stdout`, `Stderr`. */
  readonly stream: string | undefined;
}

const CHUNK_BYTES = 65_536;

/** Reads the query of a log request. */
export function logOptions(query: URLSearchParams, now: number): LogOptions {
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    return text === null || text === "" ? undefined : Number(text);
  };
  const seconds = number("sinceSeconds");
  const time = query.get("sinceTime");
  const isSet = (name: string): boolean => ["true", "1", "True"].includes(query.get(name) ?? "");
  return {
    follow: isSet("follow"),
    timestamps: isSet("timestamps"),
    sinceMs: seconds !== undefined ? now - seconds * 1000 : time === null || time === "" ? undefined : Date.parse(time),
    tailLines: number("tailLines"),
    limitBytes: number("limitBytes"),
    stream: query.get("stream") ?? undefined,
  };
}

/** One line of a CRI log file: time, output, whether the line is whole, text. */
export interface LogLine {
  readonly time: string;
  readonly stream: string;
  readonly isPartial: boolean;
  readonly text: string;
}

/** `2026-01-01T00:00:00.0Z stdout F text`. */
export function parseLogLine(line: string): LogLine | undefined {
  const match = /^(\S+) (stdout|stderr) (\S+) ?/.exec(line);
  if (match === null) return undefined;
  const [prefix, time = "", stream = "", tags = ""] = match;
  return { time, stream, isPartial: tags.split(":").includes("P"), text: line.slice(prefix.length) };
}

/** Answers a request for a container's log. */
export async function serveContainerLog(
  worker: PodWorker,
  container: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const name = worker.pod.metadata.name ?? "";
  const all = [
    ...(worker.pod.spec?.containers ?? []),
    ...(worker.pod.spec?.initContainers ?? []),
    ...(worker.pod.spec?.ephemeralContainers ?? []),
  ];
  const refuse = (code: number, message: string): void => {
    response.writeHead(code, { "content-type": "text/plain; charset=utf-8" }).end(`${message}\n`);
  };
  if (!all.some((each) => each.name === container)) {
    return refuse(404, `container "${container}" not found in pod "${name}"`);
  }
  const runs = worker.state.runs.get(container) ?? [];
  const isPrevious = ["true", "1"].includes(query.get("previous") ?? "");
  const started = runs.filter((each) => each.state !== "created");
  // The previous run is the one before the newest; a newest run that only waits to be started again is none.
  const run = isPrevious ? started.slice(1).find((each) => each.state === "exited") : started[0];
  if (run === undefined) {
    return refuse(
      400,
      isPrevious
        ? `previous terminated container "${container}" in pod "${name}" not found`
        : `container "${container}" in pod "${name}" is waiting to start: ${waitingReason(worker, container)}`,
    );
  }
  const options = logOptions(query, Date.now());
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "transfer-encoding": "chunked" });
  response.flushHeaders();
  await copyLog(run, options, worker, response);
  response.end();
}

function waitingReason(worker: PodWorker, container: string): string {
  const status = [...(worker.pod.status?.containerStatuses ?? []), ...(worker.pod.status?.initContainerStatuses ?? [])];
  return status.find((each) => each.name === container)?.state?.waiting?.reason ?? "ContainerCreating";
}

/** The log's files, oldest first; only those that are not compressed. */
async function logFiles(path: string): Promise<string[]> {
  const entries = await readdir(dirname(path)).catch(() => []);
  const rotated = entries
    .filter((entry) => entry.startsWith(`${basename(path)}.`) && !entry.endsWith(".gz"))
    .toSorted();
  return [...rotated.map((entry) => join(dirname(path), entry)), path];
}

async function copyLog(
  run: ContainerRun,
  options: LogOptions,
  worker: PodWorker,
  response: ServerResponse,
): Promise<void> {
  let left = options.limitBytes ?? Infinity;
  const isGone = (): boolean => response.destroyed || response.writableEnded;
  const write = async (text: Buffer): Promise<void> => {
    if (left <= 0 || isGone()) return;
    const piece = text.length > left ? text.subarray(0, left) : text;
    left -= piece.length;
    if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
  };
  let skip = false;
  const render = (line: Buffer): Buffer | undefined => {
    const parsed = parseLogLine(line.toString("utf8"));
    if (parsed === undefined) return undefined;
    if (options.sinceMs !== undefined && Date.parse(parsed.time) < options.sinceMs) return undefined;
    if (options.stream !== undefined && options.stream !== "All" && options.stream.toLowerCase() !== parsed.stream)
      return undefined;
    const prefix = options.timestamps && !skip ? `${parsed.time} ` : "";
    skip = parsed.isPartial;
    return Buffer.from(`${prefix}${parsed.text}${parsed.isPartial ? "" : "\n"}`);
  };

  const files =
    options.tailLines === undefined && options.sinceMs === undefined ? [run.logPath] : await logFiles(run.logPath);
  let startAt = 0;
  if (options.tailLines !== undefined) {
    startAt = await tailOffset(run.logPath, options.tailLines);
    files.splice(0, files.length - 1);
  }
  for (const file of files.slice(0, -1)) for await (const line of readLines(file, 0)) await emit(render(line));
  async function emit(text: Buffer | undefined): Promise<void> {
    if (text !== undefined) await write(text);
  }

  await using handle = await open(run.logPath, "r").catch(() => undefined);
  if (handle === undefined) return;
  let file = handle;
  let reopened: typeof handle | undefined;
  let position = startAt;
  let rest = Buffer.alloc(0);
  using changes = fileChanges(run.logPath);
  try {
    for (;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
      if (left <= 0 || isGone()) return;
      if (bytesRead > 0) {
        position += bytesRead;
        rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
        for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
          await emit(render(rest.subarray(0, end)));
          rest = rest.subarray(end + 1);
        }
        continue;
      }
      if (!options.follow) return;
      const now = worker.state.runs.get(run.name)?.find((each) => each.id === run.id);
      const fresh = await stat(run.logPath).catch(() => undefined);
      const current = await file.stat();
      if (fresh !== undefined && fresh.ino !== current.ino) {
        // Rotated away under us: go on with the new file.
        await reopened?.close();
        file = reopened = await open(run.logPath, "r");
        position = 0;
        continue;
      }
      if (now === undefined || now.state === "exited") {
        if ((await file.stat()).size > position) continue;
        return;
      }
      await Promise.race([changes.next(), once(response, "close").catch(() => undefined)]);
    }
  } finally {
    await reopened?.close();
  }
}

/** Tells of changes to a file or its folder, and at the latest after a second: a container's end changes neither. */
function fileChanges(path: string): { next(): Promise<void> } & Disposable {
  let wake: (() => void) | undefined;
  let isPending = false;
  const notify = (): void => {
    isPending = true;
    wake?.();
  };
  const watcher = watch(dirname(path), notify);
  watcher.on("error", () => {});
  return {
    async next() {
      if (!isPending) {
        const timeout = AbortSignal.timeout(1000);
        await new Promise<void>((resolve) => {
          wake = resolve;
          timeout.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      isPending = false;
      wake = undefined;
    },
    [Symbol.dispose]: () => watcher.close(),
  };
}

/** Where the last `lines` lines of a file begin. */
async function tailOffset(path: string, lines: number): Promise<number> {
  await using file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return 0;
  const { size } = await file.stat();
  if (lines === 0) return size;
  let end = size;
  let found = 0;
  while (end > 0) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const chunk = Buffer.alloc(end - start);
    await file.read(chunk, 0, chunk.length, start);
    for (let at = chunk.length - 1; at >= 0; at--) {
      if (chunk[at] !== 10 || start + at === size - 1) continue;
      found += 1;
      if (found === lines) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

async function* readLines(path: string, start: number): AsyncGenerator<Buffer, void> {
  await using file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return;
  let rest = Buffer.alloc(0);
  for (let position = start; ;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
  }
}
