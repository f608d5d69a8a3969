import {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReplicationController,
  Service,
} from "@coracle/api/core/v1";
import { ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { isConflict, isNotFound, StatusError } from "@coracle/apimachinery";
import { type Clock, type Logger, type Random } from "@coracle/base";
import {
  createEventRecorder,
  createInformerFactory,
  dropManagedFields,
  referenceTo,
  runAsLeader,
  type ApiClient,
} from "@coracle/client";
import { schedulePod, type Decision } from "./cycle/schedule-pod.ts";
import { createSpreadOwners } from "./cycle/spread-owners.ts";
import type { ClusterEvent, CycleState, PostFilterResult, QueuedPod } from "./framework/plugin.ts";
import { evictVictims } from "./preemption/evict-victims.ts";
import { defaultPlugins, type PluginEntry } from "./plugins/index.ts";
import { SchedulingQueue } from "./queue/scheduling-queue.ts";
import { ClusterState } from "./state/cluster-state.ts";

export interface SchedulerOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Absent: no election, this scheduler works at once. */
  readonly leaderElection?: SchedulerElection | undefined;
  /** Pods with this `spec.schedulerName` are its business. */
  readonly schedulerName?: string;
  /** Called when pods are being placed. */
  readonly onReady?: () => void;
}

/** How schedulers agree on who works; times and names default to upstream's. */
export interface SchedulerElection {
  readonly identity: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
}

type Unschedulable = Extract<Decision, { type: "unfit" }>;

/** Placements under way at once (binding is a request each). */
const MAX_BINDING = 64;

/** Gives every waiting pod a node, until the signal aborts. Throws when leadership is lost. */
export async function runScheduler(options: SchedulerOptions): Promise<void> {
  const { leaderElection, client, clock, random, logger, signal } = options;
  if (leaderElection === undefined) return await schedule(options, signal);
  const names = { namespace: "kube-system", name: "kube-scheduler" };
  const election = { client, clock, random, logger, ...names, ...leaderElection };
  await runAsLeader(election, (tenure) => schedule(options, tenure), signal);
}

async function schedule(options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, random, logger, schedulerName = "default-scheduler" } = options;
  await using factory = createInformerFactory({ client, clock, random, logger });
  await using recorder = createEventRecorder({ client, component: schedulerName, clock, logger });
  const pods = factory.informer(Pod, {
    fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
    transform: dropManagedFields,
  });
  const nodes = factory.informer(Node, { transform: dropManagedFields });
  const owners = createSpreadOwners({
    services: factory.informer(Service, { transform: dropManagedFields }).lister,
    replicaSets: factory.informer(ReplicaSet, { transform: dropManagedFields }).lister,
    statefulSets: factory.informer(StatefulSet, { transform: dropManagedFields }).lister,
    replicationControllers: factory.informer(ReplicationController, { transform: dropManagedFields }).lister,
  });

  const budgets = factory.informer(PodDisruptionBudget, { transform: dropManagedFields }).lister;
  const claims = factory.informer(PersistentVolumeClaim, { transform: dropManagedFields });
  const volumes = factory.informer(PersistentVolume, { transform: dropManagedFields });
  const classes = factory.informer(StorageClass, { transform: dropManagedFields });

  const plugins = defaultPlugins({
    owners,
    budgets: () => budgets.list(),
    volumes: {
      claim: (namespace, name) => claims.lister.get(namespace, name),
      volume: (name) => volumes.lister.get(undefined, name),
      storageClass: (name) => classes.lister.get(undefined, name),
    },
    async binder(pod, nodeName) {
      const { namespace = "", name = "", uid } = pod.metadata;
      await client.post(Pod, { namespace, name }, "binding", {
        apiVersion: "v1",
        kind: "Binding",
        metadata: { namespace, name, uid },
        target: { kind: "Node", name: nodeName },
      });
    },
  });
  const state = new ClusterState();
  const queue = createQueue(plugins, clock);

  const isMine = (pod: Pod): boolean =>
    pod.spec.schedulerName === schedulerName &&
    (pod.spec.nodeName ?? "") === "" &&
    pod.metadata.deletionTimestamp === undefined;
  pods.addHandlers({
    added(pod) {
      if ((pod.spec.nodeName ?? "") !== "") place(pod, "assigned-pod-added");
      else if (isMine(pod)) {
        if ((pod.status?.nominatedNodeName ?? "") !== "") state.nominate(pod, pod.status?.nominatedNodeName ?? "");
        queue.set(pod);
      }
    },
    updated(old, pod) {
      if ((pod.spec.nodeName ?? "") !== "") {
        state.denominate(pod);
        const wasWaiting = (old.spec.nodeName ?? "") === "";
        if (wasWaiting) queue.delete(pod);
        place(pod, wasWaiting ? "assigned-pod-added" : "assigned-pod-changed");
      } else if (!isMine(pod)) queue.delete(pod);
      else if (!state.isAssumed(pod) && isWorthAnotherTry(old, pod)) queue.set(pod);
    },
    deleted(pod) {
      queue.delete(pod);
      state.denominate(pod);
      state.removePod(pod);
      if ((pod.spec.nodeName ?? "") !== "") queue.notify("assigned-pod-deleted");
    },
  });
  nodes.addHandlers({
    added(node) {
      state.setNode(node);
      queue.notify("node-added");
    },
    updated(old, node) {
      state.setNode(node);
      if (isNodeChange(old, node)) queue.notify("node-changed");
    },
    deleted(node) {
      state.removeNode(node.metadata.name ?? "");
      queue.notify("other");
    },
  });
  const volumeChanged = (): void => queue.notify("volume-changed");
  const onVolumes = { added: volumeChanged, updated: volumeChanged, deleted: volumeChanged };
  for (const informer of [claims, volumes, classes]) informer.addHandlers(onVolumes);

  function place(pod: Pod, event: ClusterEvent): void {
    // Confirmations of our own placements change nothing for those who wait.
    const isNews = !state.isAssumed(pod);
    state.setPod(pod);
    if (isNews) queue.notify(event);
  }

  await factory.waitForSync(signal);
  options.onReady?.();

  const binding = new Set<Promise<void>>();
  let startAt = 0;
  try {
    while (!signal.aborted) {
      const entry = queue.pop();
      if (entry === undefined) {
        await queue.wait(signal);
        continue;
      }
      const current = pods.lister.get(entry.pod.metadata.namespace, entry.pod.metadata.name ?? "");
      if (
        current === undefined ||
        current.metadata.uid !== entry.pod.metadata.uid ||
        !isMine(current) ||
        state.isAssumed(current)
      ) {
        queue.done(entry.pod);
        continue;
      }
      const decision = schedulePod(current, state, { plugins, random, startAt });
      startAt = (startAt + 1) % Math.max(1, state.nodes().length);
      if (decision.type === "unfit") {
        // Told without waiting: others need not queue behind the report.
        track(reportUnfit(entry, current, decision, makeRoom(current, decision)));
        continue;
      }
      state.assume(current, decision.nodeName);
      state.denominate(current);
      track(bind(entry, current, decision.nodeName, decision.state));
      if (binding.size >= MAX_BINDING) await Promise.race(binding);
    }
  } finally {
    queue.close();
    await Promise.allSettled(binding);
  }

  function track(work: Promise<void>): void {
    binding.add(work);
    void work.finally(() => binding.delete(work));
  }

  async function bind(entry: QueuedPod, pod: Pod, nodeName: string, cycle: CycleState): Promise<void> {
    const reference = referenceTo(Pod, pod);
    try {
      await passBindingPoints(plugins, cycle, pod, nodeName);
      queue.done(pod);
      recorder.event(
        reference,
        "Normal",
        "Scheduled",
        `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${nodeName}`,
      );
    } catch (error) {
      for (const { plugin } of plugins) plugin.unreserve?.(cycle, pod, nodeName);
      state.forget(pod);
      if (isNotFound(error) || signal.aborted) {
        queue.done(pod);
        return;
      }
      if (!isConflict(error)) {
        logger.error("binding failed", { pod: `${pod.metadata.namespace}/${pod.metadata.name}`, error });
        recorder.event(
          reference,
          "Warning",
          "FailedScheduling",
          `binding rejected: ${StatusError.from(error).message}`,
        );
      }
      queue.failed(entry, new Set(), pod);
      queue.notify("assigned-pod-deleted");
    }
  }

  /** Asks the plugins whether room can be made. What they choose counts at once: others are tried meanwhile. */
  function makeRoom(pod: Pod, decision: Unschedulable): PostFilterResult | undefined {
    if (state.nodes().length === 0) return undefined;
    for (const { plugin } of plugins) {
      const result = plugin.postFilter?.(pod, decision.unfit, state);
      if (result === undefined) continue;
      if (result.type === "nominated") state.nominate(pod, result.nodeName);
      else if (!result.isUnderWay) state.denominate(pod);
      return result;
    }
    return undefined;
  }

  async function reportUnfit(
    entry: QueuedPod,
    pod: Pod,
    decision: Unschedulable,
    room: PostFilterResult | undefined,
  ): Promise<void> {
    queue.failed(entry, decision.plugins, pod);
    // No claims of dynamic resources are ever held, so none can be given back: upstream says so first.
    const message =
      room?.type === "none" ? `${decision.message} no new claims to deallocate, ${room.message}` : decision.message;
    recorder.event(referenceTo(Pod, pod), "Warning", "FailedScheduling", message);
    try {
      if (room?.type === "nominated")
        await evictVictims({ client, clock, recorder, schedulerName, signal }, pod, room.nodeName, room.victims);
      await writeUnschedulable(pod, message);
    } catch (error) {
      // Only a report, or a step that the next attempt takes again.
      if (!isNotFound(error) && !signal.aborted) logger.warn("unschedulable pod could not be seen to", { error });
    }
  }

  async function writeUnschedulable(pod: Pod, message: string): Promise<void> {
    const old = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
    const nominated = state.nominationOf(pod);
    const isNominationKnown = (pod.status?.nominatedNodeName ?? "") === (nominated ?? "");
    const isKnown = old?.status === "False" && old.reason === "Unschedulable" && old.message === message;
    if (isKnown && isNominationKnown) return;
    const condition = {
      type: "PodScheduled",
      status: "False",
      reason: "Unschedulable",
      message,
      observedGeneration: pod.metadata.generation,
      lastTransitionTime:
        old?.status === "False" ? old.lastTransitionTime : new Date(clock.now()).toISOString().replace(/\.\d+Z/, "Z"),
    };
    await client.patch(
      Pod,
      { namespace: pod.metadata.namespace, name: pod.metadata.name ?? "" },
      "strategic",
      {
        status: {
          conditions: [condition],
          ...(isNominationKnown ? {} : { nominatedNodeName: nominated ?? null }),
        },
      },
      { subresource: "status", signal },
    );
  }
}

async function passBindingPoints(
  plugins: readonly PluginEntry[],
  cycle: CycleState,
  pod: Pod,
  nodeName: string,
): Promise<void> {
  for (const { plugin } of plugins) {
    const refusal = (await plugin.reserve?.(cycle, pod, nodeName)) ?? (await plugin.permit?.(cycle, pod, nodeName));
    if (typeof refusal === "string") throw new Error(`${plugin.name}: ${refusal}`);
  }
  for (const { plugin } of plugins) await plugin.preBind?.(cycle, pod, nodeName);
  for (const { plugin } of plugins) if ((await plugin.bind?.(cycle, pod, nodeName)) === true) break;
  for (const { plugin } of plugins) plugin.postBind?.(cycle, pod, nodeName);
}

function createQueue(plugins: readonly PluginEntry[], clock: Clock): SchedulingQueue {
  const byName = new Map(plugins.map(({ plugin }) => [plugin.name, plugin]));
  const sorter = plugins.find(({ plugin }) => plugin.queueSort !== undefined)?.plugin;
  return new SchedulingQueue({
    clock,
    compare: (a, b) => sorter?.queueSort?.(a, b) ?? a.since - b.since,
    preEnqueue(pod) {
      for (const { plugin } of plugins) {
        const reason = plugin.preEnqueue?.(pod);
        if (reason !== undefined) return { plugin: plugin.name, reason };
      }
      return undefined;
    },
    isHelpful: (name, { event }) => byName.get(name)?.events?.includes(event) ?? true,
  });
}

/** Whether anything changed that a plugin may look at (status is not: we write it ourselves). */
function isWorthAnotherTry(old: Pod, pod: Pod): boolean {
  return (
    old.metadata.generation !== pod.metadata.generation ||
    JSON.stringify(old.spec) !== JSON.stringify(pod.spec) ||
    JSON.stringify(old.metadata.labels) !== JSON.stringify(pod.metadata.labels)
  );
}

/** Whether a node changed in what plugins look at; heartbeats do not count. */
function isNodeChange(old: Node, node: Node): boolean {
  return (
    JSON.stringify(old.spec) !== JSON.stringify(node.spec) ||
    JSON.stringify(old.metadata.labels) !== JSON.stringify(node.metadata.labels) ||
    JSON.stringify(old.status?.allocatable) !== JSON.stringify(node.status?.allocatable)
  );
}
