import type { PodSandbox, PodSandboxConfig, PodSandboxStatus } from "@coracle/api/cri";

/** What is remembered of a pod's sandbox on disk. Times are milliseconds since the Unix epoch. */
export interface SandboxRecord {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly runtimeHandler: string;
  readonly createdAt: number;
  /** `creating` is seen only after a crash in the middle: such a sandbox is taken apart. */
  readonly phase: "creating" | "ready" | "stopped";
  readonly ips: readonly string[];
  /** First process of a pod whose containers share process numbers. */
  readonly pausePid?: number;
}

/** CRI's list entry of a sandbox. */
export function podSandboxOf(record: SandboxRecord): PodSandbox {
  const { config } = record;
  return {
    id: record.id,
    metadata: config.metadata,
    state: record.phase === "ready" ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
    createdAt: record.createdAt * 1e6,
    labels: config.labels,
    annotations: config.annotations,
    runtimeHandler: record.runtimeHandler,
  };
}

/** CRI's status of a sandbox. */
export function podSandboxStatusOf(record: SandboxRecord): PodSandboxStatus {
  const [ip = "", ...additional] = record.ips;
  return {
    ...podSandboxOf(record),
    network: { ip, additionalIps: additional.map((other) => ({ ip: other })) },
    linux: { namespaces: { options: record.config.linux?.securityContext?.namespaceOptions } },
  };
}
