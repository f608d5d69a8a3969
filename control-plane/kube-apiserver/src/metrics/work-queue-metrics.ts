import type { Clock } from "@coracle/base";
import { Histogram, renderHistograms } from "./histogram.ts";
import { family } from "./metric-text.ts";

const BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10];

/** What is seen of one queue of work. An item waits once, however often it is added. */
export class WorkQueueMetrics {
  readonly #clock: Clock;
  readonly #labels: string;
  readonly #waiting = new Map<string, number>();
  readonly #running = new Map<string, number>();
  readonly #waits: Histogram;
  readonly #works: Histogram;
  #adds = 0;
  #retries = 0;

  constructor(name: string, clock: Clock) {
    this.#clock = clock;
    this.#labels = `name="${name}"`;
    this.#waits = new Histogram(this.#labels, BUCKETS);
    this.#works = new Histogram(this.#labels, BUCKETS);
  }

  added(item: string): void {
    if (this.#waiting.has(item)) return;
    this.#waiting.set(item, this.#clock.monotonicMs());
    this.#adds += 1;
  }

  /** Added again after a failure. */
  retried(): void {
    this.#retries += 1;
  }

  /** Counts the work on an item. */
  async work(item: string, work: () => Promise<void>): Promise<void> {
    const startedAt = this.#clock.monotonicMs();
    // What was put off until its time had come waits from then on.
    this.added(item);
    this.#waits.observe((startedAt - this.#waiting.get(item)!) / 1000);
    this.#waiting.delete(item);
    this.#running.set(item, startedAt);
    try {
      await work();
    } finally {
      this.#running.delete(item);
      this.#works.observe((this.#clock.monotonicMs() - startedAt) / 1000);
    }
  }

  /** The families of several queues in the Prometheus text format, under upstream's names. */
  static render(queues: readonly WorkQueueMetrics[]): string {
    const of = (name: string, type: "counter" | "gauge", value: (queue: WorkQueueMetrics) => number): string =>
      family(
        name,
        type,
        queues.map((queue) => [queue.#labels, value(queue)]),
      );
    const running = (queue: WorkQueueMetrics): number[] => {
      const now = queue.#clock.monotonicMs();
      return [...queue.#running.values()].map((since) => (now - since) / 1000);
    };
    const lines = [
      of("workqueue_adds_total", "counter", (queue) => queue.#adds),
      of("workqueue_depth", "gauge", (queue) => queue.#waiting.size),
      of("workqueue_retries_total", "counter", (queue) => queue.#retries),
      of("workqueue_unfinished_work_seconds", "gauge", (queue) => running(queue).reduce((sum, one) => sum + one, 0)),
      of("workqueue_longest_running_processor_seconds", "gauge", (queue) => Math.max(0, ...running(queue))),
    ];
    renderHistograms(
      "workqueue_queue_duration_seconds",
      queues.map((queue) => queue.#waits),
      lines,
    );
    renderHistograms(
      "workqueue_work_duration_seconds",
      queues.map((queue) => queue.#works),
      lines,
    );
    return lines.join("\n");
  }
}
