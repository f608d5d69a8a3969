import type { Pod } from "@coracle/api/core/v1";
import type { Clock, Logger, Random } from "@coracle/base";
import {
  createEventRecorder,
  createInformerFactory,
  runAsLeader,
  type ApiClient,
  type EventRecorder,
} from "@coracle/client";
import { WaitingPods } from "./binding/waiting-pods.ts";
import { schedulePod } from "./cycle/schedule-pod.ts";
import { createProfile, type Profile } from "./framework/profile.ts";
import { createClusterInformers } from "./informers/cluster-informers.ts";
import { followCluster, isPlaced } from "./informers/follow-cluster.ts";
import { SchedulerMetrics } from "./metrics/scheduler-metrics.ts";
import { defaultPlugins } from "./plugins/index.ts";
import { EventStream } from "./report/event-stream.ts";
import { SchedulingReport } from "./report/scheduling-report.ts";
import { createQueue } from "./scheduler/create-queue.ts";
import { runSchedulingLoop } from "./scheduler/scheduler.ts";
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
  const informers = createClusterInformers(factory, { client, clock, signal });
  const profile = createProfile(schedulerName, defaultPlugins(informers.pluginDeps));
  const profiles: ReadonlyMap<string, Profile> = new Map([[schedulerName, profile]]);

  await using recorder = createEventRecorder({ client, component: schedulerName, clock, logger });
  const recorderOf = (): EventRecorder => recorder;
  await using stream = new EventStream({ client, clock, logger });
  const report = new SchedulingReport({ client, clock, recorderOf, stream, signal });
  const metrics = new SchedulerMetrics(clock);
  const waiting = new WaitingPods(clock);
  const state = new ClusterState();
  const queue = createQueue(profiles, { clock, logger, metrics }, {});

  const isMine = (pod: Pod): boolean =>
    profiles.has(pod.spec.schedulerName ?? "") && !isPlaced(pod) && pod.metadata.deletionTimestamp === undefined;
  const onDeleted = (pod: Pod): void => waiting.get(pod)?.reject("", "pod was deleted");
  followCluster(informers, { state, queue, isMine, onDeleted });
  await factory.waitForSync(signal);
  options.onReady?.();

  let startAt = 0;
  const pods = informers.pods.lister;
  const work = { profiles, state, queue, waiting, metrics, report, recorderOf, pods, isMine };
  await runSchedulingLoop({
    client,
    clock,
    random,
    logger,
    signal,
    ...work,
    search(pod, { plugins }) {
      startAt = (startAt + 1) % Math.max(1, state.nodes().length);
      return schedulePod(pod, state, { plugins, random, startAt });
    },
  });
}
