import type { Container, Pod, PodCondition, PodStatus, ResourceRequirements } from "@coracle/api/core/v1";
import { containerAmounts, type ResourceAmounts } from "../resources/qos.ts";
import { quantityValue } from "../resources/quantity.ts";
import { isSidecar } from "./plan.ts";
import type { ContainerRun, RuntimeState } from "./runtime-state.ts";

/** What containers may use, by name: what the node has granted, which may be less or more than what is asked for. */
export type Allocation = ReadonlyMap<string, ResourceRequirements>;

/** Why a change of resources is not taken up. */
export interface ResizeRefusal {
  /** Infeasible: never on this node. Deferred: not while the other pods are there. */
  readonly reason: "Infeasible" | "Deferred";
  readonly message: string;
}

/** The containers whose resources may change while they run. */
const resizable = ({ spec }: Pod): Container[] => [
  ...(spec?.initContainers ?? []).filter(isSidecar),
  ...(spec?.containers ?? []),
];

const amountsOf = (resources: ResourceRequirements | undefined): ResourceAmounts =>
  containerAmounts({ name: "", ...(resources === undefined ? {} : { resources }) });

const sameAmounts = (a: ResourceRequirements | undefined, b: ResourceRequirements | undefined): boolean => {
  const [x, y] = [amountsOf(a), amountsOf(b)];
  return x.cpuRequestMillis === y.cpuRequestMillis && x.cpuLimitMillis === y.cpuLimitMillis && sameMemory(x, y);
};

const sameMemory = (a: ResourceAmounts, b: ResourceAmounts): boolean =>
  a.memoryRequestBytes === b.memoryRequestBytes && a.memoryLimitBytes === b.memoryLimitBytes;

const sameCpu = (a: ResourceAmounts, b: ResourceAmounts): boolean =>
  a.cpuRequestMillis === b.cpuRequestMillis && a.cpuLimitMillis === b.cpuLimitMillis;

const statusesOf = ({ containerStatuses = [], initContainerStatuses = [] }: PodStatus) => [
  ...containerStatuses,
  ...initContainerStatuses,
];

/** What was granted before, as the pod's status tells it: for an agent that has just started. */
export function allocationOf(pod: Pod): Map<string, ResourceRequirements> {
  const known = statusesOf(pod.status ?? {});
  return new Map(
    resizable(pod).map(({ name, resources = {} }) => {
      const status = known.find((each) => each.name === name);
      if (status?.containerID === undefined || status.resources === undefined) return [name, resources];
      const { limits } = status.resources;
      const requests = status.allocatedResources ?? status.resources.requests;
      return [
        name,
        { ...resources, ...(requests === undefined ? {} : { requests }), ...(limits === undefined ? {} : { limits }) },
      ];
    }),
  );
}

/** The pod with what was granted in place of what is asked for; the same object when that is the same. */
export function withAllocation(pod: Pod, allocation: Allocation): Pod {
  const granted = (container: Container): Container => {
    const resources = allocation.get(container.name);
    if (resources === undefined || sameAmounts(resources, container.resources)) return container;
    return { ...container, resources };
  };
  if (!wantsOther(pod, allocation)) return pod;
  const spec = pod.spec as NonNullable<Pod["spec"]>;
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers.map(granted),
      ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(granted) }),
    },
  };
}

/** Whether the pod asks for something other than what it was granted. */
export const wantsOther = (pod: Pod, allocation: Allocation): boolean =>
  resizable(pod).some(({ name, resources }) => {
    const granted = allocation.get(name);
    return granted !== undefined && !sameAmounts(granted, resources);
  });

/** What the pod asks for. */
export const wishOf = (pod: Pod): Map<string, ResourceRequirements> =>
  new Map(resizable(pod).map(({ name, resources = {} }) => [name, resources]));

/** A running container that does not have yet what it was granted. */
export interface ContainerResize {
  readonly container: Container;
  readonly run: ContainerRun;
  /** It has to start anew for that. */
  readonly needsRestart: boolean;
}

/**
 * The running containers to change, those that give something back first. `has` tells what a run has; of one of which
 * nothing is known it is taken that it has what it was granted.
 */
export function planResizes(
  pod: Pod,
  state: RuntimeState,
  has: (run: ContainerRun) => ResourceRequirements | undefined,
): ContainerResize[] {
  const found = resizable(pod).flatMap((container) => {
    const run = state.runs.get(container.name)?.[0];
    const current = run === undefined ? undefined : has(run);
    if (run?.state !== "running" || current === undefined) return [];
    const [now, wanted] = [amountsOf(current), amountsOf(container.resources)];
    if (sameCpu(now, wanted) && sameMemory(now, wanted)) return [];
    const restartsFor = (name: string): boolean =>
      container.resizePolicy?.some(
        (each) => each.resourceName === name && each.restartPolicy === "RestartContainer",
      ) === true;
    const needsRestart =
      (!sameCpu(now, wanted) && restartsFor("cpu")) || (!sameMemory(now, wanted) && restartsFor("memory"));
    const grows = wanted.memoryLimitBytes > now.memoryLimitBytes || wanted.cpuLimitMillis > now.cpuLimitMillis;
    return [{ container, run, needsRestart, grows }];
  });
  return found
    .toSorted((a, b) => Number(a.grows) - Number(b.grows))
    .map(({ container, run, needsRestart }) => ({ container, run, needsRestart }));
}

/** What a pod's cgroup needs while its containers go from one to the other; 0 is no limit. */
export function largerAmounts(a: ResourceAmounts, b: ResourceAmounts): ResourceAmounts {
  const limit = (x: number, y: number): number => (x === 0 || y === 0 ? 0 : Math.max(x, y));
  return {
    cpuRequestMillis: Math.max(a.cpuRequestMillis, b.cpuRequestMillis),
    memoryRequestBytes: Math.max(a.memoryRequestBytes, b.memoryRequestBytes),
    cpuLimitMillis: limit(a.cpuLimitMillis, b.cpuLimitMillis),
    memoryLimitBytes: limit(a.memoryLimitBytes, b.memoryLimitBytes),
  };
}

/** Whether the node could hold the pod if nothing else was there. */
export function capacityRefusal(
  requests: { readonly cpu: number; readonly memory: number },
  allocatable: Readonly<Record<string, string>>,
): ResizeRefusal | undefined {
  const cpu = [
    Math.ceil(requests.cpu * 1000 - 1e-9),
    Math.floor(quantityValue(allocatable["cpu"]) * 1000 + 1e-9),
  ] as const;
  const memory = [Math.ceil(requests.memory), Math.floor(quantityValue(allocatable["memory"]))] as const;
  const message = (name: string, [requested, capacity]: readonly [number, number]): string =>
    `Node didn't have enough capacity: ${name}, requested: ${requested}, capacity: ${capacity}`;
  if (memory[0] > memory[1]) return { reason: "Infeasible", message: message("memory", memory) };
  if (cpu[0] > cpu[1]) return { reason: "Infeasible", message: message("cpu", cpu) };
  return undefined;
}

/** How far a change of a pod's resources is. */
export interface ResizeProgress {
  readonly pending?: (ResizeRefusal & { readonly generation: number }) | undefined;
  readonly inProgress?: { readonly error?: string | undefined; readonly generation: number } | undefined;
}

/** The conditions that tell it. */
export function resizeConditions(progress: ResizeProgress, old: readonly PodCondition[], now: string): PodCondition[] {
  const { pending, inProgress } = progress;
  const make = (type: string, generation: number, why: Pick<PodCondition, "reason" | "message">): PodCondition => {
    const before = old.find((each) => each.type === type);
    return {
      type,
      status: "True",
      observedGeneration: generation,
      lastTransitionTime: before?.status === "True" ? (before.lastTransitionTime ?? now) : now,
      ...why,
    };
  };
  const out: PodCondition[] = [];
  if (pending !== undefined) {
    const { reason, message, generation } = pending;
    out.push(make("PodResizePending", generation, { reason, message }));
  }
  if (inProgress !== undefined) {
    const { error, generation } = inProgress;
    out.push(make("PodResizeInProgress", generation, error === undefined ? {} : { reason: "Error", message: error }));
  }
  return out;
}

/** What an event about a change says: the resources of all containers, as JSON. */
export function resizeMessage(prefix: string, pod: Pod, generation: number, error?: string): string {
  const list = (containers: readonly Container[] | undefined) =>
    (containers ?? []).map(({ name, resources = {} }) => ({ name, resources }));
  const init = list(pod.spec?.initContainers);
  const summary = {
    ...(init.length === 0 ? {} : { initContainers: init }),
    containers: list(pod.spec?.containers),
    generation,
    ...(error === undefined ? {} : { error }),
  };
  return `${prefix}: ${JSON.stringify(summary)}`;
}
