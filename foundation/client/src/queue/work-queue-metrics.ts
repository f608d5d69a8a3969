import { Counter, exponentialBuckets, Gauge, Histogram, type Clock } from "@coracle/base";
import type { WorkQueueObserver } from "./work-queue.ts";

const BUCKETS = exponentialBuckets(1e-8, 10, 10);
const NAME = ["name"];

interface Queue {
  readonly waiting: Map<unknown, number>;
  readonly running: Map<unknown, number>;
}

/** What is seen of all work queues of a process, under upstream's names. */
export class WorkQueueMetrics {
  readonly #clock: Clock;
  readonly #queues = new Map<string, Queue>();
  readonly #adds = new Counter("workqueue_adds_total", "[BETA] Total number of adds handled by workqueue", NAME);
  readonly #retries = new Counter(
    "workqueue_retries_total",
    "[BETA] Total number of retries handled by workqueue",
    NAME,
  );
  readonly #waits = new Histogram(
    "workqueue_queue_duration_seconds",
    "[BETA] How long in seconds an item stays in workqueue before being requested.",
    BUCKETS,
    NAME,
  );
  readonly #works = new Histogram(
    "workqueue_work_duration_seconds",
    "[BETA] How long in seconds processing an item from workqueue takes.",
    BUCKETS,
    NAME,
  );
  readonly #depth = new Gauge("workqueue_depth", "[BETA] Current depth of workqueue", NAME, () =>
    [...this.#queues].map(([name, { waiting }]) => [[name], waiting.size]),
  );
  readonly #unfinished = new Gauge(
    "workqueue_unfinished_work_seconds",
    "[BETA] How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
    NAME,
    () => this.#agesOf((ages) => ages.reduce((sum, age) => sum + age, 0)),
  );
  readonly #longest = new Gauge(
    "workqueue_longest_running_processor_seconds",
    "[BETA] How many seconds has the longest running processor for workqueue been running.",
    NAME,
    () => this.#agesOf((ages) => Math.max(0, ...ages)),
  );

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Watches one more queue; several of one name are told as one. */
  of(name: string): WorkQueueObserver {
    const clock = this.#clock;
    const queue = this.#queues.get(name) ?? {
      waiting: new Map<unknown, number>(),
      running: new Map<unknown, number>(),
    };
    this.#queues.set(name, queue);
    const adds = this.#adds.of(name);
    const retries = this.#retries.of(name);
    return {
      added(key) {
        adds.value += 1;
        queue.waiting.set(key, clock.monotonicMs());
      },
      delayed: () => void (retries.value += 1),
      started: (key) => {
        const now = clock.monotonicMs();
        this.#waits.observe((now - (queue.waiting.get(key) ?? now)) / 1000, name);
        queue.waiting.delete(key);
        queue.running.set(key, now);
      },
      finished: (key) => {
        const now = clock.monotonicMs();
        this.#works.observe((now - (queue.running.get(key) ?? now)) / 1000, name);
        queue.running.delete(key);
      },
    };
  }

  #agesOf(sum: (seconds: readonly number[]) => number): (readonly [readonly string[], number])[] {
    const now = this.#clock.monotonicMs();
    return [...this.#queues].map(([name, { running }]) => [
      [name],
      sum([...running.values()].map((since) => (now - since) / 1000)),
    ]);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    const all = [this.#adds, this.#depth, this.#longest, this.#waits, this.#retries, this.#unfinished, this.#works];
    return all.map((each) => each.text()).join("");
  }
}
