import type { Pod } from "@coracle/api/core/v1";
import { Cleanup, type Clock, type Logger, type Random } from "@coracle/base";
import {
  createEventRecorder,
  createInformerFactory,
  runElected,
  type LeaderElectionOptions,
  type ApiClient,
  type EventRecorder,
} from "@coracle/client";
import { WaitingPods } from "./binding/waiting-pods.ts";
import { schedulePod } from "./cycle/schedule-pod.ts";
import { explainPod } from "./debug/explain.ts";
import type { SchedulerDebug } from "./debug/scheduler-debug.ts";
import { buildProfiles } from "./config/build-profiles.ts";
import type { PluginArgs, SchedulerConfiguration } from "./config/configuration.ts";
import { defaultConfiguration } from "./config/read-configuration.ts";
import type { DeviceFeatures } from "./devices/device-features.ts";
import { HttpExtender } from "./extender/http-extender.ts";
import { preemptWithExtenders } from "./extender/preempt-with-extenders.ts";
import { scheduleWithExtenders } from "./extender/schedule-with-extenders.ts";
import type { PluginFactory } from "./foreign/plugin-module.ts";
import { createClusterInformers } from "./informers/cluster-informers.ts";
import { followCluster, isPlaced } from "./informers/follow-cluster.ts";
import { measurePlugin } from "./metrics/measured-plugin.ts";
import { metricSources } from "./metrics/metric-sources.ts";
import { SchedulerMetrics } from "./metrics/scheduler-metrics.ts";
import { defaultPlugins, type DefaultPluginDeps } from "./plugins/index.ts";
import { EventStream } from "./report/event-stream.ts";
import { Departures } from "./preemption/departures.ts";
import { SchedulingReport } from "./report/scheduling-report.ts";
import { createQueue } from "./scheduler/create-queue.ts";
import { MAX_BINDING, runSchedulingLoop } from "./scheduler/scheduler.ts";
import { TaskSlots } from "./scheduler/task-slots.ts";
import { ClusterState } from "./state/cluster-state.ts";

export interface SchedulerOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Absent: no election, this scheduler works at once. */
  readonly leaderElection?: SchedulerElection | undefined;
  /** Profiles, plugins, times; absent: upstream's defaults. Its leader election and client are the caller's business. */
  readonly configuration?: SchedulerConfiguration | undefined;
  /** Plugins of the user that the configuration names, from `loadPluginModules`. */
  readonly plugins?: ReadonlyMap<string, PluginFactory> | undefined;
  /** Which kinds of devices and claims count; absent: those of Kubernetes 1.35 as it comes. */
  readonly deviceFeatures?: DeviceFeatures | undefined;
  /** A pod nobody woke is tried again after so long. */
  readonly maxUnschedulableMs?: number | undefined;
  /** Where numbers are kept, for who serves them; absent: nobody asks. */
  readonly metrics?: SchedulerMetrics | undefined;
  /** Where others may look at what it knows; absent: nobody asks. */
  readonly debug?: SchedulerDebug | undefined;
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
  /** Told whether the lease is held. */
  readonly metrics?: LeaderElectionOptions["metrics"];
}

/** Gives every waiting pod a node, until the signal aborts. Throws when leadership is lost. */
export async function runScheduler(options: SchedulerOptions): Promise<void> {
  const { leaderElection, client, clock, random, logger, signal } = options;
  const names = { namespace: "kube-system", name: "kube-scheduler" };
  const election =
    leaderElection === undefined ? undefined : { client, clock, random, logger, ...names, ...leaderElection };
  await runElected(election, (tenure) => schedule(options, tenure), signal);
}

async function schedule(options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, random, logger, configuration = defaultConfiguration() } = options;
  await using cleanup = new Cleanup();
  const factory = cleanup.use(createInformerFactory({ client, clock, random, logger }));
  const informers = createClusterInformers(factory, { client, clock, signal }, options.deviceFeatures);
  const recorders = new Map<string, EventRecorder>();
  const recorderOf = (schedulerName: string): EventRecorder => {
    let recorder = recorders.get(schedulerName);
    if (recorder === undefined) {
      recorder = cleanup.use(createEventRecorder({ client, component: schedulerName, clock, logger }));
      recorders.set(schedulerName, recorder);
    }
    return recorder;
  };
  const binding = new TaskSlots(MAX_BINDING);
  const stream = cleanup.use(new EventStream({ client, clock, logger, isBusy: () => binding.size > 0 }));
  const report = new SchedulingReport({ client, clock, recorderOf, stream, signal });
  const served = options.metrics;
  const metrics = served ?? new SchedulerMetrics(clock);
  const waiting = new WaitingPods(clock);
  const state = new ClusterState();

  const extenders = (configuration.extenders ?? []).map((extender) => new HttpExtender(extender));
  const binder = extenders.find((extender) => extender.binds);
  const own = informers.pluginDeps;
  const preemptors = extenders.filter((extender) => extender.preempts);
  const isAskedAbout = (pod: Pod): boolean => preemptors.some((extender) => extender.isInterestedIn(pod));
  const deps: DefaultPluginDeps = {
    ...own,
    namespaces: state,
    isAskedAbout,
    devices: {
      ...own.devices,
      tellWaiting: (pod, nodeName) => report.waitsForDevices(pod, nodeName),
      onClaimMade: (status) => metrics.claimMade(status),
    },
    binder: (pod, nodeName) =>
      binder?.isInterestedIn(pod) === true ? binder.bind(pod, nodeName) : own.binder(pod, nodeName),
  };
  const profiles = buildProfiles(configuration, {
    clock,
    builtIn: (args, all) => defaultPlugins(deps, withoutManaged(args, configuration), all),
    foreign: options.plugins ?? new Map(),
    around: served === undefined ? undefined : (plugin, name) => measurePlugin(plugin, name, served),
    handle: {
      client,
      clock,
      logger,
      snapshot: state,
      waitingPods: () => waiting.list(),
      activate: (pods) => queue.activate(pods),
    },
  });
  const queue = createQueue(
    profiles,
    { clock, logger, metrics },
    {
      initialBackoffMs: configuration.podInitialBackoffSeconds * 1000,
      maxBackoffMs: configuration.podMaxBackoffSeconds * 1000,
      ...(options.maxUnschedulableMs === undefined ? {} : { maxUnschedulableMs: options.maxUnschedulableMs }),
    },
  );
  metrics.attach(metricSources(queue, state));
  options.debug?.attach((pod) => {
    const profile = profiles.get(pod.spec.schedulerName ?? "");
    return profile === undefined ? undefined : explainPod(pod, profile, state);
  }, informers.pods.lister);

  const isMine = (pod: Pod): boolean =>
    profiles.has(pod.spec.schedulerName ?? "") && !isPlaced(pod) && pod.metadata.deletionTimestamp === undefined;
  const onDeleted = (pod: Pod): void => waiting.get(pod)?.reject("", "pod was deleted");
  followCluster(informers, { state, queue, metrics, isMine, onDeleted });
  const departures = new Departures(informers.pods);
  await factory.waitForSync(signal);
  options.onReady?.();

  let startAt = 0;
  const pods = informers.pods.lister;
  const work = { profiles, state, queue, waiting, metrics, report, recorderOf, departures, binding, pods, isMine };
  await runSchedulingLoop({
    client,
    clock,
    random,
    logger,
    signal,
    ...work,
    settleRoom: async (pod, room) =>
      room.candidates !== undefined && isAskedAbout(pod)
        ? await preemptWithExtenders(preemptors, pod, room.candidates, state)
        : room,
    search(pod, profile) {
      const { plugins, percentageOfNodesToScore } = profile;
      startAt = (startAt + 1) % Math.max(1, state.nodes().length);
      if (extenders.length > 0) return scheduleWithExtenders(pod, profile, state, { extenders, random, startAt });
      return schedulePod(pod, state, { plugins, random, startAt, percentageOfNodesToScore });
    },
  });
}

/** Resources that an extender manages are not looked at where the configuration says so. */
function withoutManaged(args: PluginArgs, { extenders = [] }: SchedulerConfiguration): PluginArgs {
  const names = extenders
    .flatMap(({ managedResources = [] }) => managedResources)
    .flatMap(({ name, ignoredByScheduler }) => (ignoredByScheduler === true ? [name] : []));
  if (names.length === 0) return args;
  const fit = args.NodeResourcesFit ?? {};
  return { ...args, NodeResourcesFit: { ...fit, ignoredResources: [...(fit.ignoredResources ?? []), ...names] } };
}
