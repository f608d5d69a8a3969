import type { Job } from "@coracle/api/batch/v1";
import { createFakeClock } from "@coracle/base";
import { createWorkQueue } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { ControllerManagerMetrics } from "../manager/metrics.ts";

const job = (part: Partial<Job>): Job => ({ metadata: { name: "j" }, spec: { template: {} }, ...part });

describe("the manager's metrics", () => {
  it("of Jobs: what grew in a status, and who ended by it", () => {
    const metrics = new ControllerManagerMetrics();
    const before = job({ status: { succeeded: 1 } });
    metrics.jobs.reported(before, {
      succeeded: 3,
      failed: 1,
      conditions: [{ type: "Complete", status: "True", reason: "CompletionsReached" }],
    });
    metrics.jobs.synced(before, true, "tracking", 5);
    const text = metrics.text();
    for (const line of [
      'job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 2',
      'job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="failed"} 1',
      'job_controller_jobs_finished_total{completion_mode="NonIndexed",result="succeeded",reason="CompletionsReached"} 1',
      'job_controller_job_syncs_total{completion_mode="NonIndexed",result="success",action="tracking"} 1',
    ])
      expect(text).toContain(`${line}\n`);
  });

  it("of zones: health as a percentage, looked up when asked", () => {
    const metrics = new ControllerManagerMetrics();
    metrics.watchZones(() => [["", 4, 1]]);
    expect(metrics.text()).toContain('node_collector_zone_health{zone=""} 75\n');
    expect(metrics.text()).toContain('node_collector_unhealthy_nodes_in_zone{zone=""} 1\n');
  });

  it("of work queues, under upstream's names: what waits, what is in work and for how long", async () => {
    const clock = createFakeClock();
    const metrics = new ControllerManagerMetrics(clock);
    const queue = createWorkQueue<string>({ clock, observer: metrics.of("endpointslice") });
    for (const key of ["a", "b", "a"]) queue.add(key);
    queue.addAfter("c", 1000);
    expect(metrics.text()).toContain('workqueue_depth{name="endpoint_slice"} 2\n');
    const stop = new AbortController();
    let finish: () => void = () => {};
    const running = queue.run(
      1,
      async (key) => {
        if (key === "a") await new Promise<void>((resolve) => (finish = resolve));
      },
      stop.signal,
    );
    await clock.advance(500);
    expect(metrics.text()).toContain('workqueue_unfinished_work_seconds{name="endpoint_slice"} 0.5\n');
    expect(metrics.text()).toContain('workqueue_longest_running_processor_seconds{name="endpoint_slice"} 0.5\n');
    finish();
    await clock.advance(1000);
    stop.abort();
    await running;
    const text = metrics.text();
    expect(text).toContain('workqueue_adds_total{name="endpoint_slice"} 3\n');
    expect(text).toContain('workqueue_retries_total{name="endpoint_slice"} 1\n');
    expect(text).toContain('workqueue_work_duration_seconds_count{name="endpoint_slice"} 3\n');
    expect(text).toContain('workqueue_depth{name="endpoint_slice"} 0\n');
  });
});
