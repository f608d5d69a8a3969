import type { ContainerConfig, ContainerState, ContainerStatus, LinuxContainerResources } from "@coracle/api/cri";

/** What is remembered of a container on disk. Times are milliseconds since the Unix epoch. */
export interface ContainerRecord {
  readonly id: string;
  readonly sandboxId: string;
  /** As asked for, without the environment, which may hold secrets and is in the bundle. */
  readonly config: ContainerConfig;
  readonly imageId: string;
  readonly imageRef: string;
  readonly layers: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] };
  readonly cgroupsPath: string;
  readonly logPath: string;
  readonly stopSignal: string | number;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly pid?: number;
  /** Tells the process from a later one with the same number. */
  readonly pidStartTime?: number;
  readonly finishedAt?: number;
  readonly exitCode?: number;
  readonly reason?: string;
  readonly message?: string;
  /** Its mounts, cgroups and the OCI runtime's memory of it are gone. */
  readonly isReleased?: boolean;
  /** Limits as last updated. */
  readonly resources?: LinuxContainerResources;
}

/** CRI's state of a container. */
export function containerStateOf(record: ContainerRecord): ContainerState {
  if (record.finishedAt !== undefined) return "CONTAINER_EXITED";
  return record.startedAt === undefined ? "CONTAINER_CREATED" : "CONTAINER_RUNNING";
}

const nanoseconds = (ms: number | undefined): number => (ms ?? 0) * 1e6;

/** CRI's status of a container. */
export function containerStatusOf(record: ContainerRecord): ContainerStatus {
  const { config } = record;
  const reason =
    record.finishedAt === undefined ? "" : (record.reason ?? (record.exitCode === 0 ? "Completed" : "Error"));
  const resources = record.resources ?? config.linux?.resources;
  return {
    id: record.id,
    metadata: config.metadata,
    state: containerStateOf(record),
    createdAt: nanoseconds(record.createdAt),
    startedAt: nanoseconds(record.startedAt),
    finishedAt: nanoseconds(record.finishedAt),
    exitCode: record.exitCode ?? 0,
    image: config.image,
    imageRef: record.imageRef,
    imageId: record.imageId,
    reason,
    message: record.message ?? "",
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts,
    logPath: record.logPath,
    ...(resources === undefined ? {} : { resources: { linux: resources } }),
    user: { linux: { uid: record.user.uid, gid: record.user.gid, supplementalGroups: record.user.supplementalGroups } },
    stopSignal: config.stopSignal,
  };
}
