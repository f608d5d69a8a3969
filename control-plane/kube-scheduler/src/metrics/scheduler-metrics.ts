import { Counter, exponentialBuckets, Gauge, Histogram, type Clock, type Count, type Instrument } from "@coracle/base";
import type { QueueName } from "../queue/scheduling-queue.ts";

/** How an attempt ended, in upstream's words. */
export type AttemptResult = "scheduled" | "unschedulable" | "error";

/** What is looked up only when somebody asks. */
export interface MetricSources {
  readonly pending: () => Readonly<Record<QueueName, number>>;
  /** Changes kept for attempts under way, and those attempts (`PodPopped`), by upstream's word. */
  readonly inFlight: () => ReadonlyMap<string, number>;
  readonly cache: () => { readonly nodes: number; readonly pods: number; readonly assumedPods: number };
  /** Pods that wait, by who rejected them and the profile. */
  readonly rejections: () => Iterable<readonly [plugin: string, profile: string, pods: number]>;
}

const FROM_A_MILLISECOND = exponentialBuckets(0.001, 2, 15);
const FROM_A_TENTH = exponentialBuckets(0.0001, 2, 12);
const FROM_A_HUNDREDTH = exponentialBuckets(0.00001, 1.5, 20);
const FROM_TEN = exponentialBuckets(0.01, 2, 20);

/** What the scheduler counts and measures of itself, under upstream's names. */
export class SchedulerMetrics {
  readonly #clock: Clock;
  readonly #instruments: Instrument[] = [];
  readonly #attempts = this.#counter(
    "schedule_attempts_total",
    "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
    ["result", "profile"],
  );
  readonly #attemptSeconds = this.#histogram(
    "scheduling_attempt_duration_seconds",
    "[STABLE] Scheduling attempt latency in seconds (scheduling algorithm + binding)",
    FROM_A_MILLISECOND,
    ["result", "profile"],
  );
  readonly #algorithmSeconds = this.#histogram(
    "scheduling_algorithm_duration_seconds",
    "[ALPHA] Scheduling algorithm latency in seconds",
    FROM_A_MILLISECOND,
  );
  readonly #eventSeconds = this.#histogram(
    "event_handling_duration_seconds",
    "[ALPHA] Event handling latency in seconds.",
    FROM_A_TENTH,
    ["event"],
  );
  readonly #sliSeconds = this.#histogram(
    "pod_scheduling_sli_duration_seconds",
    "[BETA] E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
    FROM_TEN,
    ["attempts"],
  );
  readonly #podAttempts = this.#histogram(
    "pod_scheduling_attempts",
    "[STABLE] Number of attempts to successfully schedule a pod.",
    exponentialBuckets(1, 2, 5),
  );
  readonly #pointSeconds = this.#histogram(
    "framework_extension_point_duration_seconds",
    "[STABLE] Latency for running all plugins of a specific extension point.",
    FROM_A_TENTH,
    ["extension_point", "status", "profile"],
  );
  readonly #pluginSeconds = this.#histogram(
    "plugin_execution_duration_seconds",
    "[ALPHA] Duration for running a plugin at a specific extension point.",
    FROM_A_HUNDREDTH,
    ["plugin", "extension_point", "status"],
  );
  readonly #evaluations = this.#counter(
    "plugin_evaluation_total",
    "[ALPHA] Number of attempts to schedule pods by each plugin and the extension point (available only in PreFilter, Filter, PreScore, and Score).",
    ["plugin", "extension_point", "profile"],
  );
  readonly #hintSeconds = this.#histogram(
    "queueing_hint_execution_duration_seconds",
    "[ALPHA] Duration for running a queueing hint function of a plugin.",
    FROM_A_HUNDREDTH,
    ["plugin", "event", "hint"],
  );
  readonly #incoming = this.#counter(
    "queue_incoming_pods_total",
    "[STABLE] Number of pods added to scheduling queues by event and queue type.",
    ["queue", "event"],
  );
  readonly #preemptions = this.#counter(
    "preemption_attempts_total",
    "[STABLE] Total preemption attempts in the cluster till now",
  );
  readonly #victims = this.#histogram(
    "preemption_victims",
    "[STABLE] Number of selected preemption victims",
    exponentialBuckets(1, 2, 7),
  );
  readonly #evictions = this.#counter(
    "preemption_goroutines_execution_total",
    "[ALPHA] Number of preemption goroutines executed.",
    ["result"],
  );
  readonly #evictionSeconds = this.#histogram(
    "preemption_goroutines_duration_seconds",
    "[ALPHA] Duration in seconds for running goroutines for the preemption.",
    FROM_TEN,
    ["result"],
  );
  readonly #permitSeconds = this.#histogram(
    "permit_wait_duration_seconds",
    "[ALPHA] Duration of waiting on permit.",
    FROM_A_MILLISECOND,
    ["result"],
  );
  readonly #volumeFailures = this.#counter(
    "volume_scheduling_stage_error_total",
    "[ALPHA] Volume scheduling stage error count",
    ["operation"],
  );
  readonly #claims = this.#counter(
    "resourceclaim_creates_total",
    "[ALPHA] Number of ResourceClaims creation requests within scheduler",
    ["status"],
  );

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  #keep<I extends Instrument>(instrument: I): I {
    this.#instruments.push(instrument);
    return instrument;
  }

  #counter(name: string, help: string, labels?: readonly string[]): Counter {
    return this.#keep(new Counter(`scheduler_${name}`, help, labels));
  }

  #histogram(name: string, help: string, bounds: readonly number[], labels?: readonly string[]): Histogram {
    return this.#keep(new Histogram(`scheduler_${name}`, help, bounds, labels));
  }

  #gauge(name: string, help: string, labels: readonly string[], read: ConstructorParameters<typeof Gauge>[3]): void {
    this.#keep(new Gauge(`scheduler_${name}`, help, labels, read));
  }

  /** Where values come from that are read when somebody asks. */
  attach(sources: MetricSources): void {
    this.#gauge(
      "pending_pods",
      "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
      ["queue"],
      () => Object.entries(sources.pending()).map(([queue, count]) => [[queue], count]),
    );
    this.#gauge(
      "inflight_events",
      "[ALPHA] Number of events currently tracked in the scheduling queue.",
      ["event"],
      () => [...sources.inFlight()].map(([event, count]) => [[event], count]),
    );
    this.#gauge(
      "cache_size",
      "[ALPHA] Number of nodes, pods, and assumed (bound) pods in the scheduler cache.",
      ["type"],
      () => {
        const { nodes, pods, assumedPods } = sources.cache();
        return [
          [["nodes"], nodes],
          [["pods"], pods],
          [["assumed_pods"], assumedPods],
        ];
      },
    );
    this.#gauge(
      "unschedulable_pods",
      "[ALPHA] The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that caused it to not schedule and so this metric have meaning only when broken down by plugin.",
      ["plugin", "profile"],
      () => [...sources.rejections()].map(([plugin, profile, pods]) => [[plugin, profile], pods]),
    );
  }

  /** Seconds since `startMs`, of the monotonic clock. */
  #since(startMs: number): number {
    return (this.#clock.monotonicMs() - startMs) / 1000;
  }

  attempted(result: AttemptResult, profile: string, startMs: number): void {
    this.#attempts.add(1, result, profile);
    this.#attemptSeconds.observe(this.#since(startMs), result, profile);
  }

  /** The search is one pass over columns: what upstream tells of PreFilter to Score is told as `Filter`. */
  decided(isFound: boolean, profile: string, startMs: number): void {
    const seconds = this.#since(startMs);
    this.#algorithmSeconds.observe(seconds);
    this.#pointSeconds.observe(seconds, "Filter", isFound ? "Success" : "Unschedulable", profile);
  }

  placed(attempts: number, waitedMs: number): void {
    this.#podAttempts.observe(attempts);
    this.#sliSeconds.observe(waitedMs / 1000, attempts >= 15 ? "15+" : String(attempts));
  }

  incoming(queue: QueueName, event: string): void {
    this.#incoming.add(1, queue, event);
  }

  preempted(victims: number): void {
    this.#preemptions.add(1);
    if (victims > 0) this.#victims.observe(victims);
  }

  /** Victims were sent away, beside other work. */
  evicted(result: "success" | "error", startMs: number): void {
    this.#evictions.add(1, result);
    this.#evictionSeconds.observe(this.#since(startMs), result);
  }

  permitted(result: string, startMs: number): void {
    this.#permitSeconds.observe(this.#since(startMs), result);
  }

  volumesFailed(operation: "predicate" | "assume" | "bind"): void {
    this.#volumeFailures.add(1, operation);
  }

  /** A claim for the resources of a pod was made, or could not be. */
  claimMade(status: "success" | "failure"): void {
    this.#claims.add(1, status);
  }

  /** Measures one extension point until what it returns is called with the status it ended in. */
  startPoint(point: string, profile: string): (status: string) => void {
    const start = this.#clock.monotonicMs();
    return (status) => this.#pointSeconds.observe(this.#since(start), point, status, profile);
  }

  /** Measures one call of a plugin, as `startPoint`. */
  startPlugin(plugin: string, point: string): (status: string) => void {
    const start = this.#clock.monotonicMs();
    return (status) => this.#pluginSeconds.observe(this.#since(start), plugin, point, status);
  }

  /** Measures how long a change of the cluster is worked on, by upstream's word for it. */
  startEvent(): (event: string) => void {
    const start = this.#clock.monotonicMs();
    return (event) => this.#eventSeconds.observe(this.#since(start), event);
  }

  /** Measures how long a plugin thinks about whether a change may help. */
  startHint(plugin: string, event: string): (hint: "Queue" | "QueueSkip" | "Error") => void {
    const start = this.#clock.monotonicMs();
    return (hint) => this.#hintSeconds.observe(this.#since(start), plugin, event, hint);
  }

  /** How often a plugin was asked at an extension point. */
  evaluations(plugin: string, point: "PreFilter" | "Filter" | "PreScore" | "Score", profile: string): Count {
    return this.#evaluations.of(plugin, point, profile);
  }

  /** All of it, as Prometheus reads it. */
  text(): string {
    return this.#instruments.map((each) => each.text()).join("");
  }
}
