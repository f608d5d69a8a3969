import { createFakeClock } from "@coracle/base";
import { expect, it } from "vitest";
import { WorkQueueMetrics } from "./work-queue-metrics.ts";

it("an item waits once, is worked on, and comes again", async () => {
  const clock = createFakeClock();
  const queue = new WorkQueueMetrics("q", clock);
  queue.added("a");
  queue.added("a");
  queue.added("b");
  await clock.advance(2_000);
  await queue.work("a", () => clock.advance(50));
  queue.retried();
  await queue.work("a", () => Promise.resolve());
  const text = WorkQueueMetrics.render([queue]);
  expect(text).toContain('\nworkqueue_adds_total{name="q"} 3\n');
  expect(text).toContain('\nworkqueue_depth{name="q"} 1\n');
  expect(text).toContain('\nworkqueue_retries_total{name="q"} 1\n');
  expect(text).toContain('\nworkqueue_queue_duration_seconds_sum{name="q"} 2\n');
  expect(text).toContain('\nworkqueue_work_duration_seconds_bucket{name="q",le="0.1"} 2\n');
});
