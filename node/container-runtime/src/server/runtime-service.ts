import type { ContainerEventResponse, ContainerEventType, RuntimeServiceMethods } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { ContainerManager } from "../container/container-manager.ts";
import { containerStateOf, containerStatusOf } from "../container/container-record.ts";
import type { PodNetwork } from "../network/pod-network.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import type { SandboxManager } from "../sandbox/sandbox-manager.ts";
import { podSandboxOf, podSandboxStatusOf } from "../sandbox/sandbox-record.ts";
import type { StatisticsReader } from "../statistics/statistics.ts";
import { execSync } from "../streaming/exec.ts";
import type { StreamingServer } from "../streaming/streaming-server.ts";

/** The single-answer methods of a service, as functions. */
export type UnaryMethods<Service> = {
  readonly [
    Name in keyof Service as Service[Name] extends { readonly responseStream: true } ? never : Name
  ]: Service[Name] extends {
    readonly request: infer Request;
    readonly response: infer Response;
  }
    ? (request: Request, signal: AbortSignal) => Promise<Response> | Response
    : never;
};

export interface RuntimeServiceParts {
  readonly context: RuntimeContext;
  readonly containers: ContainerManager;
  readonly sandboxes: SandboxManager;
  readonly network: PodNetwork;
  readonly statistics: StatisticsReader;
  readonly streaming: StreamingServer;
  readonly version: string;
}

type Labels = { readonly [key: string]: string } | undefined;

const hasLabels = (labels: Labels, wanted: Labels): boolean =>
  Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value);

/** The event that tells of one change, with the pod as it is now. */
export function containerEventOf(
  parts: Pick<RuntimeServiceParts, "containers" | "sandboxes">,
  type: ContainerEventType,
  id: string,
  sandboxId: string,
  nowMs: number,
): ContainerEventResponse {
  const sandbox = parts.sandboxes.find(sandboxId);
  return {
    containerId: id,
    containerEventType: type,
    createdAt: nowMs * 1e6,
    ...(sandbox === undefined ? {} : { podSandboxStatus: podSandboxStatusOf(sandbox) }),
    containersStatuses: [...parts.containers.list()].filter((c) => c.sandboxId === sandboxId).map(containerStatusOf),
  };
}

/** CRI's RuntimeService over the managers; event streaming apart. */
export function createRuntimeService(parts: RuntimeServiceParts): UnaryMethods<RuntimeServiceMethods> {
  const { context, containers, sandboxes, network, statistics, streaming, version } = parts;
  const unsupported = (method: string) => (): never => {
    throw new CriError("UNIMPLEMENTED", `method ${method} not implemented`);
  };
  return {
    Version: () => ({ version: "0.1.0", runtimeName: "coracle", runtimeVersion: version, runtimeApiVersion: "v1" }),

    async Status(request) {
      const networkProblem = await network.notReady();
      return {
        status: {
          conditions: [
            { type: "RuntimeReady", status: true },
            networkProblem === undefined
              ? { type: "NetworkReady", status: true }
              : {
                  type: "NetworkReady",
                  status: false,
                  reason: "NetworkPluginNotReady",
                  message: `Network plugin returns error: ${networkProblem}`,
                },
          ],
        },
        ...(request.verbose === true
          ? { info: { ociRuntime: context.oci.path, cgroupVersion: String(context.hierarchy.version) } }
          : {}),
        runtimeHandlers: ["", context.oci.name].map((name) => ({
          name,
          features: { recursiveReadOnlyMounts: false, userNamespaces: false },
        })),
        features: { supplementalGroupsPolicy: true },
      };
    },

    RuntimeConfig: () => ({ linux: { cgroupDriver: "CGROUPFS" } }),
    async UpdateRuntimeConfig(request) {
      const podCidr = request.runtimeConfig?.networkConfig?.podCidr ?? "";
      if (podCidr !== "") await network.setPodCidr?.(podCidr);
      return {};
    },

    async RunPodSandbox(request) {
      return { podSandboxId: await sandboxes.run(request.config ?? {}, request.runtimeHandler ?? "") };
    },
    async StopPodSandbox(request) {
      await sandboxes.stop(request.podSandboxId ?? "");
      return {};
    },
    async RemovePodSandbox(request) {
      const id = sandboxes.find(request.podSandboxId ?? "")?.id;
      await sandboxes.remove(request.podSandboxId ?? "");
      if (id !== undefined) statistics.forget(id);
      return {};
    },
    PodSandboxStatus(request) {
      const record = sandboxes.get(request.podSandboxId ?? "");
      return {
        status: podSandboxStatusOf(record),
        containersStatuses: [...containers.list()].filter((c) => c.sandboxId === record.id).map(containerStatusOf),
        timestamp: context.clock.now() * 1e6,
        ...(request.verbose === true ? { info: { netns: sandboxes.networkNamespace(record) ?? "" } } : {}),
      };
    },
    ListPodSandbox({ filter }) {
      const items = [...sandboxes.list()]
        .filter((record) => record.phase !== "creating")
        .map(podSandboxOf)
        .filter(
          (item) =>
            ((filter?.id ?? "") === "" || item.id?.startsWith(filter?.id ?? "") === true) &&
            (filter?.state === undefined || item.state === filter.state.state) &&
            hasLabels(item.labels, filter?.labelSelector),
        );
      return { items };
    },
    UpdatePodSandboxResources: () => ({}),

    async CreateContainer(request) {
      const config = request.config ?? {};
      const sandbox = sandboxes.get(request.podSandboxId ?? "");
      const home = sandboxes.homeOf(sandbox, config.linux?.securityContext?.namespaceOptions);
      return { containerId: await context.starts.run(() => containers.create(config, home)) };
    },
    async StartContainer(request) {
      await containers.start(request.containerId ?? "");
      return {};
    },
    async StopContainer(request) {
      await containers.stop(request.containerId ?? "", (request.timeout ?? 0) * 1000);
      return {};
    },
    async RemoveContainer(request) {
      const id = containers.find(request.containerId ?? "")?.id;
      await containers.remove(request.containerId ?? "");
      if (id !== undefined) statistics.forget(id);
      return {};
    },
    ListContainers({ filter }) {
      const items = [...containers.list()]
        .filter(
          (record) =>
            ((filter?.id ?? "") === "" || record.id.startsWith(filter?.id ?? "")) &&
            ((filter?.podSandboxId ?? "") === "" || record.sandboxId.startsWith(filter?.podSandboxId ?? "")) &&
            (filter?.state === undefined || containerStateOf(record) === filter.state.state) &&
            hasLabels(record.config.labels, filter?.labelSelector),
        )
        .map((record) => ({
          id: record.id,
          podSandboxId: record.sandboxId,
          metadata: record.config.metadata,
          image: record.config.image,
          imageRef: record.imageRef,
          imageId: record.imageId,
          state: containerStateOf(record),
          createdAt: record.createdAt * 1e6,
          labels: record.config.labels,
          annotations: record.config.annotations,
        }));
      return { containers: items };
    },
    ContainerStatus(request) {
      const record = containers.get(request.containerId ?? "");
      const info = { pid: record.pid ?? 0, sandboxID: record.sandboxId, cgroupsPath: record.cgroupsPath };
      return {
        status: containerStatusOf(record),
        ...(request.verbose === true ? { info: { info: JSON.stringify(info) } } : {}),
      };
    },
    async UpdateContainerResources(request) {
      await containers.update(request.containerId ?? "", request.linux ?? {});
      return {};
    },
    async ReopenContainerLog(request) {
      await containers.reopenLog(request.containerId ?? "");
      return {};
    },

    ExecSync: (request, signal) =>
      execSync(context, containers, {
        containerId: request.containerId ?? "",
        command: request.cmd ?? [],
        timeoutMs: (request.timeout ?? 0) * 1000,
        signal,
      }),
    Exec(request) {
      const { containerId = "", cmd = [], tty = false, stdin = false, stdout = false, stderr = false } = request;
      if (tty && stderr) throw new CriError("INVALID_ARGUMENT", "tty and stderr cannot both be true");
      const record = containers.get(containerId);
      if (containerStateOf(record) !== "CONTAINER_RUNNING") {
        throw new CriError("FAILED_PRECONDITION", `container is in ${containerStateOf(record)} state`);
      }
      return {
        url: streaming.issue({
          kind: "exec",
          containerId: record.id,
          command: cmd,
          streams: { tty, stdin, stdout, stderr },
        }),
      };
    },
    Attach(request) {
      const { containerId = "", tty = false, stdin = false, stdout = false, stderr = false } = request;
      const record = containers.get(containerId);
      if (containerStateOf(record) !== "CONTAINER_RUNNING") {
        throw new CriError("FAILED_PRECONDITION", `container is in ${containerStateOf(record)} state`);
      }
      return {
        url: streaming.issue({
          kind: "attach",
          containerId: record.id,
          streams: { tty, stdin, stdout, stderr: stderr && !tty },
        }),
      };
    },
    PortForward(request) {
      const record = sandboxes.get(request.podSandboxId ?? "");
      if (record.phase !== "ready")
        throw new CriError("FAILED_PRECONDITION", `sandbox container "${record.id}" is not running`);
      return { url: streaming.issue({ kind: "portforward", sandboxId: record.id }) };
    },

    async ContainerStats(request) {
      return { stats: await statistics.container(containers.get(request.containerId ?? "")) };
    },
    async ListContainerStats({ filter }) {
      const wanted = [...containers.list()].filter(
        (record) =>
          ((filter?.id ?? "") === "" || record.id.startsWith(filter?.id ?? "")) &&
          ((filter?.podSandboxId ?? "") === "" || record.sandboxId.startsWith(filter?.podSandboxId ?? "")) &&
          hasLabels(record.config.labels, filter?.labelSelector),
      );
      return { stats: await Promise.all(wanted.map((record) => statistics.container(record))) };
    },
    async PodSandboxStats(request) {
      return { stats: await statistics.sandbox(sandboxes.get(request.podSandboxId ?? ""), containers) };
    },
    async ListPodSandboxStats({ filter }) {
      const wanted = [...sandboxes.list()].filter(
        (record) =>
          record.phase === "ready" &&
          ((filter?.id ?? "") === "" || record.id.startsWith(filter?.id ?? "")) &&
          hasLabels(record.config.labels, filter?.labelSelector),
      );
      return { stats: await Promise.all(wanted.map((record) => statistics.sandbox(record, containers))) };
    },
    ListMetricDescriptors: () => ({ descriptors: [] }),
    ListPodSandboxMetrics: () => ({ podMetrics: [] }),
    CheckpointContainer: unsupported("CheckpointContainer"),
  };
}
