import { open } from "node:fs/promises";
import type { ContainerStatus, PodSandboxStatus } from "@coracle/api/cri";
import type { Instant } from "@coracle/base";
import type { CriClient } from "../cri/cri-client.ts";
import { isCriNotFound } from "../cri/cri-client.ts";
import {
  CONTAINER_HASH,
  CONTAINER_NAME,
  POD_UID,
  RESTART_COUNT,
  TERMINATION_PATH,
  TERMINATION_POLICY,
} from "../cri/labels.ts";

/** One run of a container, as the runtime tells it. */
export interface ContainerRun {
  readonly id: string;
  readonly name: string;
  readonly sandboxId: string;
  readonly state: "created" | "running" | "exited" | "unknown";
  /** How often the container had been restarted when this run was made. */
  readonly restartCount: number;
  /** Of the specification that it was made from. */
  readonly hash: string;
  readonly createdAt: Instant;
  readonly startedAt: Instant;
  readonly finishedAt: Instant;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  readonly image: string;
  readonly imageId: string;
  readonly logPath: string;
  readonly user:
    | { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] }
    | undefined;
}

export interface SandboxState {
  readonly id: string;
  readonly attempt: number;
  readonly isReady: boolean;
  readonly createdAt: Instant;
  readonly ips: readonly string[];
  readonly isHostNetwork: boolean;
}

/** What the runtime has of one pod; sandboxes and each container's runs newest first. */
export interface RuntimeState {
  readonly sandboxes: readonly SandboxState[];
  readonly runs: ReadonlyMap<string, readonly ContainerRun[]>;
}

export const NO_RUNTIME_STATE: RuntimeState = { sandboxes: [], runs: new Map() };

const STATES = {
  CONTAINER_CREATED: "created",
  CONTAINER_RUNNING: "running",
  CONTAINER_EXITED: "exited",
  CONTAINER_UNKNOWN: "unknown",
} as const;

const millis = (nanos: number | undefined): Instant => Math.floor((nanos ?? 0) / 1e6);

/** What does not change while a container or sandbox is in one state; kept between readings of one pod. */
export interface RuntimeCache {
  readonly runs: Map<string, ContainerRun>;
  readonly sandboxes: Map<string, SandboxState>;
}

/** Reads a pod's state from the runtime: two lists, and details of what is new in them. */
export async function readRuntimeState(cri: CriClient, uid: string, cache: RuntimeCache): Promise<RuntimeState> {
  const labelSelector = { [POD_UID]: uid };
  const [listed, containers] = await Promise.all([
    cri.call("ListPodSandbox", { filter: { labelSelector } }),
    cri.call("ListContainers", { filter: { labelSelector } }),
  ]);
  const known = new Set<string>();
  const runs = await Promise.all(
    (containers.containers ?? []).map(async (container) => {
      const id = container.id ?? "";
      known.add(id);
      const earlier = cache.runs.get(id);
      const now = STATES[container.state as keyof typeof STATES];
      if (earlier !== undefined && earlier.state === now && (now === "exited" || now === "running")) return earlier;
      const status = await unlessGone(cri.call("ContainerStatus", { containerId: id }));
      if (status?.status === undefined) return undefined;
      const run = containerRun(status.status, container.podSandboxId ?? "", await terminationMessage(status.status));
      cache.runs.set(id, run);
      return run;
    }),
  );
  for (const id of cache.runs.keys()) if (!known.has(id)) cache.runs.delete(id);
  const present = new Set<string>();
  const sandboxes = await Promise.all(
    (listed.items ?? []).map(async (item) => {
      const id = item.id ?? "";
      present.add(id);
      const earlier = cache.sandboxes.get(id);
      if (earlier !== undefined && earlier.isReady === (item.state === "SANDBOX_READY")) return earlier;
      const answer = await unlessGone(cri.call("PodSandboxStatus", { podSandboxId: id }));
      if (answer?.status === undefined) return undefined;
      const sandbox = sandboxState(answer.status);
      if (sandbox.ips.length > 0 || sandbox.isHostNetwork || !sandbox.isReady) cache.sandboxes.set(id, sandbox);
      return sandbox;
    }),
  );
  for (const id of cache.sandboxes.keys()) if (!present.has(id)) cache.sandboxes.delete(id);
  return runtimeStateOf(
    sandboxes.flatMap((sandbox) => (sandbox === undefined ? [] : [sandbox])),
    runs.flatMap((run) => (run === undefined ? [] : [run])),
  );
}

/** Sorts sandboxes and runs into a pod's state. */
export function runtimeStateOf(sandboxes: readonly SandboxState[], runs: readonly ContainerRun[]): RuntimeState {
  const byName = new Map<string, ContainerRun[]>();
  for (const run of runs.toSorted((a, b) => b.createdAt - a.createdAt || b.restartCount - a.restartCount)) {
    const of = byName.get(run.name);
    if (of === undefined) byName.set(run.name, [run]);
    else of.push(run);
  }
  return { sandboxes: sandboxes.toSorted((a, b) => b.createdAt - a.createdAt), runs: byName };
}

/** Not found: removed between listing and asking. */
async function unlessGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isCriNotFound(error)) return undefined;
    throw error;
  }
}

function sandboxState(status: PodSandboxStatus): SandboxState {
  const network = status.network;
  const ips = [network?.ip ?? "", ...(network?.additionalIps ?? []).map((entry) => entry.ip ?? "")];
  return {
    id: status.id ?? "",
    attempt: status.metadata?.attempt ?? 0,
    isReady: status.state === "SANDBOX_READY",
    createdAt: millis(status.createdAt),
    ips: ips.filter((ip) => ip !== ""),
    isHostNetwork: status.linux?.namespaces?.options?.network === "NODE",
  };
}

const MAX_MESSAGE_BYTES = 4096;
const LOG_TAIL_BYTES = 2048;
const LOG_TAIL_LINES = 80;

/** What a container left behind for people to read when it ended: its message file, or on demand the end of its log. */
async function terminationMessage(status: ContainerStatus): Promise<string> {
  if (status.state !== "CONTAINER_EXITED") return "";
  const path = status.annotations?.[TERMINATION_PATH];
  const mounted = status.mounts?.find((each) => each.containerPath === path)?.hostPath;
  let message = mounted === undefined ? "" : await endOfFile(mounted, MAX_MESSAGE_BYTES);
  const wantsLog = status.annotations?.[TERMINATION_POLICY] === "FallbackToLogsOnError";
  if (message === "" && wantsLog && (status.exitCode ?? 0) !== 0) {
    const tail = await endOfFile(status.logPath ?? "", 2 * LOG_TAIL_BYTES);
    message = logText(tail);
  }
  return message;
}

/** What a log's last lines say. A line that the container did not end has none here either. */
export function logText(log: string): string {
  const lines = [...log.matchAll(/^\S+ (?:stdout|stderr) ([FP])\S* (.*)\n/gm)];
  return lines
    .slice(-LOG_TAIL_LINES)
    .map(([, tag, text]) => (tag === "F" ? `${text}\n` : text))
    .join("")
    .slice(-LOG_TAIL_BYTES);
}

async function endOfFile(path: string, maxBytes: number): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const start = Math.max(0, size - maxBytes);
    const buffer = Buffer.alloc(Math.min(size, maxBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}

function containerRun(status: ContainerStatus, sandboxId: string, message: string): ContainerRun {
  const user = status.user?.linux;
  return {
    id: status.id ?? "",
    name: status.labels?.[CONTAINER_NAME] ?? status.metadata?.name ?? "",
    sandboxId,
    state: STATES[status.state as keyof typeof STATES] ?? "unknown",
    restartCount: Number(status.annotations?.[RESTART_COUNT] ?? status.metadata?.attempt ?? 0),
    hash: status.annotations?.[CONTAINER_HASH] ?? "",
    createdAt: millis(status.createdAt),
    startedAt: millis(status.startedAt),
    finishedAt: millis(status.finishedAt),
    exitCode: status.exitCode ?? 0,
    reason: status.reason ?? "",
    message: message !== "" ? message : (status.message ?? ""),
    image: status.image?.userSpecifiedImage || status.image?.image || "",
    imageId: status.imageRef ?? "",
    logPath: status.logPath ?? "",
    user:
      user === undefined
        ? undefined
        : { uid: user.uid ?? 0, gid: user.gid ?? 0, supplementalGroups: user.supplementalGroups ?? [] },
  };
}
