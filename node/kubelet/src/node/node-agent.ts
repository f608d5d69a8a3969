import { Node, type NodeStatus } from "@coracle/api/core/v1";
import { Lease } from "@coracle/api/coordination/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { isAbort, sleep, type Clock, type Logger } from "@coracle/base";
import { createInformer, type ApiClient, type EventRecorder } from "@coracle/client";
import type { KubeletConfiguration } from "../config.ts";
import type { CriClient } from "../cri/cri-client.ts";
import type { Machine } from "../host/machine.ts";
import { sameJson } from "../pod/status-manager.ts";
import { cloudRegistration } from "./cloud.ts";
import { computeNodeStatus } from "./node-status.ts";

export interface NodeAgentDeps {
  readonly client: ApiClient;
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly configuration: KubeletConfiguration;
  readonly machine: Machine;
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly version: string;
  /** Called once, when the runtime and the pod network can run pods. */
  readonly onReady: () => void;
}

/** Speaks for the node in the API: its object, its status, its lease. */
export interface NodeAgent {
  /** Registers the node and keeps it up to date until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Something that the status shows may have changed. */
  poke(): void;
  readonly node: Node | undefined;
  /** Name and version of the runtime: `containerd`. */
  readonly runtimeName: string;
}

const NOT_READY_CHECK_MS = 250;
const RUNTIME_CHECK_MS = 30_000;
const POKE_DELAY_MS = 1_000;
const RETRY_MS = 1_000;

export function createNodeAgent(deps: NodeAgentDeps): NodeAgent {
  const { client, cri, clock, logger, configuration, nodeName } = deps;
  let node: Node | undefined;
  let runtime = { name: "containerd", version: "" };
  let podCidr = "";
  let isPoked = true;
  let wasReady: boolean | undefined;
  let lastReport = 0;
  let wake: (() => void) | undefined;

  const regarding = { kind: "Node", name: nodeName, uid: nodeName } as const;

  function template(): Node {
    const { info } = deps.machine;
    const cloud = cloudRegistration(configuration);
    const taints = [...configuration.registerWithTaints, ...cloud.taints];
    return {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: nodeName,
        labels: {
          "beta.kubernetes.io/arch": info.architecture,
          "beta.kubernetes.io/os": info.operatingSystem,
          "kubernetes.io/arch": info.architecture,
          "kubernetes.io/hostname": nodeName,
          "kubernetes.io/os": info.operatingSystem,
          ...configuration.nodeLabels,
        },
        annotations: Object.fromEntries(
          Object.entries({
            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            ...cloud.annotations,
          }).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
        ),
      },
      spec: {
        ...(cloud.providerID === undefined ? {} : { providerID: cloud.providerID }),
        ...(taints.length === 0 ? {} : { taints }),
      },
    };
  }

  async function register(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        const wanted = template();
        try {
          const { status } = await currentStatus(wanted);
          node = await client.create(Node, { ...wanted, status }, { signal });
          deps.recorder.event(regarding, "Normal", "RegisteredNode", `Node ${nodeName} registered`);
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
          node = await client.get(Node, { name: nodeName }, { signal });
          const labels = wanted.metadata.labels ?? {};
          const missing = Object.entries(labels).filter(([key, value]) => node?.metadata.labels?.[key] !== value);
          const stale = Object.entries(cloudRegistration(configuration).annotations).filter(
            ([key, value]) => node?.metadata.annotations?.[key] !== value,
          );
          if (missing.length > 0 || stale.length > 0) {
            const annotations = Object.fromEntries(stale.map(([key, value]) => [key, value ?? null]));
            const body = { metadata: { labels: Object.fromEntries(missing), annotations } };
            node = await client.patch(Node, { name: nodeName }, "strategic", body, { signal });
          }
        }
        return;
      } catch (error) {
        if (isAbort(error, signal)) throw error;
        logger.warn("the node could not be registered", { error });
        await sleep(clock, RETRY_MS, signal);
      }
    }
  }

  /** Why pods cannot run yet, by the runtime's own account. */
  async function runtimeProblem(): Promise<{
    readonly problem: string | undefined;
    readonly handlers: NodeStatusHandlers;
  }> {
    try {
      const answer = await cri.call("Status", { verbose: false }, { timeoutMs: 10_000 });
      const conditions = answer.status?.conditions ?? [];
      const problems = ["RuntimeReady", "NetworkReady"].flatMap((type) => {
        const found = conditions.find((each) => each.type === type);
        if (found?.status === true) return [];
        const { reason = "", message = "" } = found ?? {};
        return type === "RuntimeReady"
          ? [`container runtime not ready: RuntimeReady=false reason:${reason} message:${message}`]
          : [`container runtime network not ready: NetworkReady=false reason:${reason} message:${message}`];
      });
      return {
        problem: problems.length === 0 ? undefined : problems.join(", "),
        handlers: answer.runtimeHandlers ?? [],
      };
    } catch (error) {
      return {
        problem: `container runtime is down: ${error instanceof Error ? error.message : String(error)}`,
        handlers: [],
      };
    }
  }

  async function currentStatus(of: Node): Promise<{ readonly status: NodeStatus; readonly isReady: boolean }> {
    if (runtime.version === "") {
      const version = await cri.call("Version", { version: "v1" }).catch(() => undefined);
      if (version !== undefined) {
        runtime = { name: version.runtimeName ?? "containerd", version: version.runtimeVersion ?? "" };
      }
    }
    const [{ problem, handlers }, images] = await Promise.all([
      runtimeProblem(),
      cri.call("ListImages", {}).catch(() => ({ images: [] })),
    ]);
    const status = computeNodeStatus({
      node: of,
      now: clock.now(),
      machine: deps.machine,
      configuration,
      hostname: nodeName,
      ips: deps.nodeIps,
      versions: { kubelet: deps.version, runtime: `${runtime.name}://${runtime.version}` },
      notReady: problem,
      images: images.images ?? [],
      runtimeHandlers: handlers,
    });
    return { status, isReady: problem === undefined };
  }

  async function handOnPodCidr(of: Node): Promise<void> {
    const cidr = of.spec?.podCIDRs?.join(",") ?? of.spec?.podCIDR ?? "";
    if (cidr === "" || cidr === podCidr) return;
    await cri.call("UpdateRuntimeConfig", { runtimeConfig: { networkConfig: { podCidr: cidr } } });
    podCidr = cidr;
    logger.info("pod addresses are known", { podCIDR: cidr });
  }

  async function report(signal: AbortSignal): Promise<boolean> {
    if (node === undefined) return false;
    await handOnPodCidr(node);
    const { status, isReady } = await currentStatus(node);
    const isDue = clock.now() - lastReport >= configuration.nodeStatusReportFrequencySeconds * 1000;
    // Resources that others announce stay, and conditions that others keep.
    const own = new Set((status.conditions ?? []).map(({ type }) => type));
    const others = (node.status?.conditions ?? []).filter(({ type }) => !own.has(type));
    const merged: NodeStatus = {
      ...node.status,
      ...status,
      conditions: [...(status.conditions ?? []), ...others],
      capacity: { ...node.status?.capacity, ...status.capacity },
      allocatable: { ...node.status?.allocatable, ...status.allocatable },
    };
    if (isDue || !sameJson(withoutHeartbeats(node.status), withoutHeartbeats(merged))) {
      // Merged by its members' types, the list would keep what a cloud has taken out: it is only written to be set.
      const { addresses, ...rest } = status;
      const keeps = sameJson(addresses, node.status?.addresses);
      const body = { metadata: { uid: node.metadata.uid }, status: keeps ? rest : status };
      try {
        await client.patch(Node, { name: nodeName }, "strategic", body, { subresource: "status", signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        await register(signal); // somebody deleted the node's object while we live
        return isReady;
      }
      node = { ...node, status: merged };
      lastReport = clock.now();
    }
    if (isReady && wasReady !== true) {
      deps.recorder.event(regarding, "Normal", "NodeReady", `Node ${nodeName} status is now: NodeReady`);
      deps.onReady();
    } else if (!isReady && wasReady === true) {
      deps.recorder.event(regarding, "Normal", "NodeNotReady", `Node ${nodeName} status is now: NodeNotReady`);
    }
    wasReady = isReady;
    return isReady;
  }

  /** Sleeps until something happens, or the time is up. */
  async function pause(ms: number, signal: AbortSignal): Promise<void> {
    if (isPoked) return;
    await new Promise<void>((resolve) => {
      const timer = clock.after(ms, end);
      function end(): void {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", end);
        wake = undefined;
        resolve();
      }
      wake = end;
      signal.addEventListener("abort", end, { once: true });
    });
  }

  async function keepLease(signal: AbortSignal): Promise<void> {
    const namespace = "kube-node-lease";
    const renewMs = (configuration.nodeLeaseDurationSeconds * 1000) / 4;
    let lease: Lease | undefined;
    while (!signal.aborted) {
      const renewTime = new Date(clock.now()).toISOString().replace("Z", "000Z");
      try {
        if (lease === undefined) lease = await openLease(namespace, renewTime, signal);
        else lease = await client.update(Lease, { ...lease, spec: { ...lease.spec, renewTime } }, { signal });
        await sleep(clock, renewMs, signal);
      } catch (error) {
        if (isAbort(error, signal)) return;
        lease = undefined;
        logger.debug("the node lease was not renewed", { error });
        await sleep(clock, RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async function openLease(namespace: string, renewTime: string, signal: AbortSignal): Promise<Lease> {
    const spec = { holderIdentity: nodeName, leaseDurationSeconds: configuration.nodeLeaseDurationSeconds, renewTime };
    try {
      const found = await client.get(Lease, { namespace, name: nodeName }, { signal });
      return await client.update(Lease, { ...found, spec: { ...found.spec, ...spec } }, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const owner = { apiVersion: "v1", kind: "Node", name: nodeName, uid: node?.metadata.uid ?? "" };
      return client.create(
        Lease,
        {
          apiVersion: "coordination.k8s.io/v1",
          kind: "Lease",
          metadata: { namespace, name: nodeName, ownerReferences: [owner] },
          spec,
        },
        { signal },
      );
    }
  }

  return {
    get node() {
      return node;
    },
    get runtimeName() {
      return runtime.name;
    },
    poke() {
      if (isPoked) return;
      // Many pods change images and states at once; one look afterwards is enough.
      isPoked = true;
      clock.after(POKE_DELAY_MS, () => wake?.()).unref();
    },
    async run(signal) {
      if (configuration.registerNode) await register(signal);
      deps.recorder.event(regarding, "Normal", "Starting", "Starting kubelet.");
      await using informer = createInformer({ client, clock, logger }, Node, {
        fieldSelector: `metadata.name=${nodeName}`,
      });
      const follow = (current: Node): void => {
        const hadCidr = node?.spec?.podCIDR;
        node = current;
        if (current.spec?.podCIDR !== hadCidr || wasReady !== true) {
          isPoked = true;
          wake?.();
        }
      };
      informer.addHandlers({ added: follow, updated: (_old, current) => follow(current) });
      const lease = keepLease(signal);
      while (!signal.aborted) {
        isPoked = false;
        let isReady = false;
        try {
          isReady = await report(signal);
        } catch (error) {
          if (isAbort(error, signal)) break;
          logger.warn("the node status was not written", { error });
          await sleep(clock, RETRY_MS, signal).catch(() => undefined);
        }
        await pause(isReady ? RUNTIME_CHECK_MS : NOT_READY_CHECK_MS, signal);
      }
      await lease;
    },
  };
}

type NodeStatusHandlers = Parameters<typeof computeNodeStatus>[0]["runtimeHandlers"];

function withoutHeartbeats(status: NodeStatus | undefined): unknown {
  return {
    ...status,
    conditions: (status?.conditions ?? [])
      .map((condition) => ({ ...condition, lastHeartbeatTime: undefined }))
      .toSorted((a, b) => (a.type < b.type ? -1 : 1)),
  };
}
