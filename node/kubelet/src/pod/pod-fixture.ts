import type { Container, Pod, PodSpec } from "@coracle/api/core/v1";
import { runtimeStateOf, type ContainerRun, type RuntimeState, type SandboxState } from "./runtime-state.ts";

/** A pod for tables: one container `c` unless told. */
export function podOf(spec: Partial<PodSpec> = {}, extra: Partial<Pod> = {}): Pod {
  return {
    ...extra,
    metadata: { name: "p", namespace: "default", uid: "u", generation: 1, ...extra.metadata },
    spec: { restartPolicy: "Always", containers: [{ name: "c", image: "i" }], ...spec },
  };
}

export const sandboxOf = (extra: Partial<SandboxState> = {}): SandboxState => ({
  id: "s0",
  attempt: 0,
  isReady: true,
  createdAt: 1,
  ips: ["10.0.0.2"],
  isHostNetwork: false,
  ...extra,
});

/** A run: `running`, or ended with the exit code. */
export function runOf(
  name: string,
  state: "running" | "created" | number,
  extra: Partial<ContainerRun> = {},
): ContainerRun {
  return {
    id: `${name}-run`,
    name,
    sandboxId: "s0",
    state: typeof state === "number" ? "exited" : state,
    restartCount: 0,
    hash: "",
    createdAt: 1000,
    startedAt: 2000,
    finishedAt: typeof state === "number" ? 3000 : 0,
    exitCode: typeof state === "number" ? state : 0,
    reason: "",
    message: "",
    image: "i",
    imageId: "sha256:1",
    logPath: "",
    user: undefined,
    ...extra,
  };
}

export const stateOf = (runs: readonly ContainerRun[], sandboxes = [sandboxOf()]): RuntimeState =>
  runtimeStateOf(sandboxes, runs);

export const containers = (...names: readonly string[]): Container[] => names.map((name) => ({ name, image: "i" }));
export const sidecar = (name: string): Container => ({ name, image: "i", restartPolicy: "Always" });
