import { createFakeClock } from "@coracle/base";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import type { Plugin } from "../framework/plugin.ts";
import { NodeState } from "../state/node-state.ts";
import { podResourceMetrics } from "./pod-resource-metrics.ts";
import { measurePlugin } from "./measured-plugin.ts";
import { SchedulerMetrics } from "./scheduler-metrics.ts";

/** All that kube-scheduler 1.35 may show of itself: name, type, stage, labels, buckets and the first of them. */
const UPSTREAM: readonly (readonly [string, string, string, string, number?, number?])[] = [
  ["cache_size", "gauge", "ALPHA", "type"],
  ["event_handling_duration_seconds", "histogram", "ALPHA", "event", 12, 0.0001],
  ["framework_extension_point_duration_seconds", "histogram", "STABLE", "extension_point profile status", 12, 0.0001],
  ["inflight_events", "gauge", "ALPHA", "event"],
  ["pending_pods", "gauge", "STABLE", "queue"],
  ["permit_wait_duration_seconds", "histogram", "ALPHA", "result", 15, 0.001],
  ["plugin_evaluation_total", "counter", "ALPHA", "extension_point plugin profile"],
  ["plugin_execution_duration_seconds", "histogram", "ALPHA", "extension_point plugin status", 20, 0.00001],
  ["pod_scheduling_attempts", "histogram", "STABLE", "", 5, 1],
  ["pod_scheduling_sli_duration_seconds", "histogram", "BETA", "attempts", 20, 0.01],
  ["preemption_attempts_total", "counter", "STABLE", ""],
  ["preemption_goroutines_duration_seconds", "histogram", "ALPHA", "result", 20, 0.01],
  ["preemption_goroutines_execution_total", "counter", "ALPHA", "result"],
  ["preemption_victims", "histogram", "STABLE", "", 7, 1],
  ["queue_incoming_pods_total", "counter", "STABLE", "event queue"],
  ["queueing_hint_execution_duration_seconds", "histogram", "ALPHA", "event hint plugin", 20, 0.00001],
  ["resourceclaim_creates_total", "counter", "ALPHA", "status"],
  ["schedule_attempts_total", "counter", "STABLE", "profile result"],
  ["scheduling_algorithm_duration_seconds", "histogram", "ALPHA", "", 15, 0.001],
  ["scheduling_attempt_duration_seconds", "histogram", "STABLE", "profile result", 15, 0.001],
  ["unschedulable_pods", "gauge", "ALPHA", "plugin profile"],
  ["volume_scheduling_stage_error_total", "counter", "ALPHA", "operation"],
];

/** Of machinery that is not here: its goroutines, its cache of volumes, batches, calls behind gates that are off. */
const NOT_HERE = [
  "async_api_call_execution_duration_seconds",
  "async_api_call_execution_total",
  "batch_attempts_total",
  "batch_cache_flushed_total",
  "get_node_hint_duration_seconds",
  "goroutines",
  "pending_async_api_calls",
  "store_schedule_results_duration_seconds",
  "volume_binder_cache_requests_total",
];

/** Metrics in which everything was seen once. */
function seen(): SchedulerMetrics {
  const metrics = new SchedulerMetrics(createFakeClock());
  metrics.attach({
    pending: () => ({ active: 1, backoff: 0, unschedulable: 0, gated: 0 }),
    inFlight: () => new Map([["NodeAdd", 1]]),
    cache: () => ({ nodes: 1, pods: 2, assumedPods: 3 }),
    rejections: () => [["NodeName", "p", 1]],
  });
  metrics.attempted("scheduled", "p", 0);
  metrics.decided(true, "p", 0);
  metrics.placed(1, 5);
  metrics.incoming("active", "NodeAdd");
  metrics.preempted(1);
  metrics.evicted("success", 0);
  metrics.permitted("Success", 0);
  metrics.volumesFailed("bind");
  metrics.claimMade("success");
  metrics.startPlugin("NodeName", "Filter")("Success");
  metrics.startEvent()("NodeAdd");
  metrics.startHint("NodeName", "NodeAdd")("Queue");
  metrics.evaluations("NodeName", "Filter", "p").value++;
  return metrics;
}

/** What a page of Prometheus' text format says there is, as rows of the table above. */
function tableOf(text: string): unknown[] {
  const rows: unknown[] = [];
  for (const block of text.split("# HELP ").slice(1)) {
    const [, name = "", stage = ""] = /^scheduler_(\S+) \[(\w+)\]/.exec(block) ?? [];
    const [, type = ""] = /# TYPE \S+ (\w+)/.exec(block) ?? [];
    const [, first = ""] = /\{([^}]*)\}/.exec(block) ?? [];
    const labels = [...first.matchAll(/(\w+)=/g)].flatMap(([, label = ""]) => (label === "le" ? [] : label));
    const bounds = [...new Set([...block.matchAll(/le="([\d.e-]+)"/g)].map(([, bound]) => Number(bound)))];
    const head = [name, type, stage, labels.sort().join(" ")];
    rows.push(type === "histogram" ? [...head, bounds.length, bounds[0]] : head);
  }
  return rows.sort();
}

const pod: Pod = { metadata: { name: "p" }, spec: { containers: [] } };

describe("metrics", () => {
  it("have upstream's names, types, stages, labels and buckets", () => {
    expect(tableOf(seen().text())).toEqual([...UPSTREAM].sort());
    for (const name of NOT_HERE) expect(seen().text()).not.toContain(`scheduler_${name}`);
  });

  it("say what pods request and may have, of those that are not over", () => {
    const container = (cpu: string) => ({ name: "c", resources: { requests: { cpu }, limits: { memory: "1Ki" } } });
    const placed: Pod = {
      metadata: { name: "p", namespace: "d" },
      spec: {
        nodeName: "n",
        schedulerName: "s",
        priority: 7,
        containers: [container("1500m")],
        overhead: { cpu: "1" },
      },
    };
    const over: Pod = { ...placed, metadata: { name: "over" }, status: { phase: "Succeeded" } };
    const labels = (resource: string, unit: string): string =>
      `{namespace="d",pod="p",node="n",scheduler="s",priority="7",resource="${resource}",unit="${unit}"}`;
    const lines = podResourceMetrics([placed, over]).split("\n");
    expect(lines.filter((line) => line.includes("{"))).toEqual([
      `kube_pod_resource_limit${labels("memory", "bytes")} 1024`,
      `kube_pod_resource_request${labels("cpu", "cores")} 2.5`,
    ]);
    expect(lines).toContain(
      "# HELP kube_pod_resource_limit [STABLE] Resources limit for workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod for resources along with the unit for the resource if any.",
    );
  });

  it("count each time a plugin is asked, and time one in many", async () => {
    const metrics = new SchedulerMetrics(createFakeClock());
    const unfit = { reasons: ["no"], isFinal: false };
    const inner: Plugin = {
      name: "Mine",
      preFilter: () => ({ skip: true }),
      filter: () => unfit,
      preBind: () => Promise.reject(new Error("no")),
      columns: { nodePart: () => ({ kind: "node", isStatic: true, filter: () => unfit, score: () => 7 }) },
    };
    const plugin = measurePlugin(inner, "p", metrics);
    const node = new NodeState("n");
    expect(plugin.preFilter?.(new Map(), pod, undefined as never)).toEqual({ skip: true });
    for (let i = 0; i < 3; i++) expect(plugin.filter?.(new Map(), pod, node)).toBe(unfit);
    const part = plugin.columns?.nodePart?.(pod, undefined as never);
    expect([part?.filter?.(0), part?.score?.(0)]).toEqual([unfit, 7]);
    await expect(plugin.preBind?.(new Map(), pod, "n")).rejects.toThrow("no");
    const text = metrics.text();
    const at = (point: string): string => `{plugin="Mine",extension_point="${point}",profile="p"}`;
    expect(text).toContain(`scheduler_plugin_evaluation_total${at("Filter")} 4\n`);
    expect(text).toContain(`scheduler_plugin_evaluation_total${at("PreFilter")} 1\n`);
    expect(text).toContain(`scheduler_plugin_evaluation_total${at("Score")} 1\n`);
    const timed = (point: string, status: string): string =>
      `scheduler_plugin_execution_duration_seconds_count{plugin="Mine",extension_point="${point}",status="${status}"} 1\n`;
    expect(text).toContain(timed("Filter", "Unschedulable"));
    expect(text).toContain(timed("PreFilter", "Skip"));
    expect(text).toContain(timed("PreBind", "Error"));
  });
});
