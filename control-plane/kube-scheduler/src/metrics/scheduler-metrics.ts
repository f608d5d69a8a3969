import type { Clock } from "@coracle/base";
import type { QueueName } from "../queue/scheduling-queue.ts";
import { Counter, exponentialBuckets, Gauge, Histogram, type Instrument } from "./instruments.ts";

/** How an attempt ended, in upstream's words. */
export type AttemptResult = "scheduled" | "unschedulable" | "error";

/** What is looked up only when somebody asks. */
export interface MetricSources {
  readonly pending: () => Readonly<Record<QueueName, number>>;
  readonly missedChanges: () => number;
  readonly cache: () => { readonly nodes: number; readonly pods: number; readonly assumedPods: number };
  /** Pods that wait, by who rejected them and the profile. */
  readonly rejections: () => Iterable<readonly [plugin: string, profile: string, pods: number]>;
}

/** What the scheduler counts and measures of itself, under upstream's names. */
export class SchedulerMetrics {
  readonly #clock: Clock;
  readonly #instruments: Instrument[] = [];
  readonly #attempts = this.#keep(
    new Counter(
      "scheduler_schedule_attempts_total",
      "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
      ["result", "profile"],
    ),
  );
  readonly #attemptSeconds = this.#keep(
    new Histogram(
      "scheduler_scheduling_attempt_duration_seconds",
      "[STABLE] Scheduling attempt latency in seconds (scheduling algorithm + binding)",
      exponentialBuckets(0.001, 2, 15),
      ["result", "profile"],
    ),
  );
  readonly #algorithmSeconds = this.#keep(
    new Histogram(
      "scheduler_scheduling_algorithm_duration_seconds",
      "[ALPHA] Scheduling algorithm latency in seconds",
      exponentialBuckets(0.001, 2, 15),
    ),
  );
  readonly #sliSeconds = this.#keep(
    new Histogram(
      "scheduler_pod_scheduling_sli_duration_seconds",
      "[BETA] E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
      exponentialBuckets(0.01, 2, 20),
      ["attempts"],
    ),
  );
  readonly #podAttempts = this.#keep(
    new Histogram(
      "scheduler_pod_scheduling_attempts",
      "[STABLE] Number of attempts to successfully schedule a pod.",
      exponentialBuckets(1, 2, 5),
    ),
  );
  readonly #pointSeconds = this.#keep(
    new Histogram(
      "scheduler_framework_extension_point_duration_seconds",
      "[STABLE] Latency for running all plugins of a specific extension point.",
      exponentialBuckets(0.0001, 2, 12),
      ["extension_point", "status", "profile"],
    ),
  );
  readonly #incoming = this.#keep(
    new Counter(
      "scheduler_queue_incoming_pods_total",
      "[STABLE] Number of pods added to scheduling queues by event and queue type.",
      ["queue", "event"],
    ),
  );
  readonly #preemptions = this.#keep(
    new Counter("scheduler_preemption_attempts_total", "[STABLE] Total preemption attempts in the cluster till now"),
  );
  readonly #victims = this.#keep(
    new Histogram(
      "scheduler_preemption_victims",
      "[STABLE] Number of selected preemption victims",
      exponentialBuckets(1, 2, 7),
    ),
  );
  readonly #permitSeconds = this.#keep(
    new Histogram(
      "scheduler_permit_wait_duration_seconds",
      "[ALPHA] Duration of waiting on permit.",
      exponentialBuckets(0.001, 2, 15),
      ["result"],
    ),
  );

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  #keep<I extends Instrument>(instrument: I): I {
    this.#instruments.push(instrument);
    return instrument;
  }

  /** Where values come from that are read when somebody asks. */
  attach(sources: MetricSources): void {
    this.#keep(
      new Gauge(
        "scheduler_pending_pods",
        "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
        ["queue"],
        () => Object.entries(sources.pending()).map(([queue, count]) => [[queue], count]),
      ),
    );
    this.#keep(
      new Gauge(
        "scheduler_inflight_events",
        "[ALPHA] Number of events currently tracked in the scheduling queue.",
        [],
        () => [[[], sources.missedChanges()]],
      ),
    );
    this.#keep(
      new Gauge(
        "scheduler_scheduler_cache_size",
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
      ),
    );
    this.#keep(
      new Gauge(
        "scheduler_unschedulable_pods",
        "[ALPHA] The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that caused it to not schedule and so this metric should have multiple counts per pod if there are multiple plugins that caused it to not schedule.",
        ["plugin", "profile"],
        () => [...sources.rejections()].map(([plugin, profile, pods]) => [[plugin, profile], pods]),
      ),
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

  decided(startMs: number): void {
    this.#algorithmSeconds.observe(this.#since(startMs));
  }

  placed(attempts: number, waitedMs: number): void {
    this.#podAttempts.observe(attempts);
    this.#sliSeconds.observe(waitedMs / 1000, attempts >= 15 ? "15+" : String(attempts));
  }

  incoming(queue: QueueName, event: string): void {
    this.#incoming.add(1, queue === "gated" ? "gated" : queue, event);
  }

  preempted(victims: number): void {
    this.#preemptions.add(1);
    if (victims > 0) this.#victims.observe(victims);
  }

  permitted(result: string, startMs: number): void {
    this.#permitSeconds.observe(this.#since(startMs), result);
  }

  /** Measures one extension point until what it returns is called with the status it ended in. */
  startPoint(point: string, profile: string): (status: string) => void {
    const start = this.#clock.monotonicMs();
    return (status) => this.#pointSeconds.observe(this.#since(start), point, status, profile);
  }

  /** All of it, as Prometheus reads it. */
  text(): string {
    return this.#instruments.map((each) => each.text()).join("");
  }
}
