import type { FlowControl } from "./flow-control.ts";
import type { FlowCounters, PriorityLevel } from "./priority-level.ts";

const PREFIX = "apiserver_flowcontrol_";

type LevelValue = readonly [name: string, value: (level: PriorityLevel) => number];
type CounterValue = readonly [name: string, value: (counters: FlowCounters) => number];

const LEVEL_GAUGES: readonly LevelValue[] = [
  ["nominal_limit_seats", ({ bounds }) => bounds.nominal],
  ["lower_limit_seats", ({ bounds }) => bounds.lower],
  ["upper_limit_seats", ({ bounds }) => bounds.upper],
  ["current_limit_seats", ({ queues }) => queues.seatLimit],
  ["demand_seats_high_watermark", ({ demand }) => demand.last.highWatermark],
  ["demand_seats_average", ({ demand }) => demand.last.average],
  ["demand_seats_stdev", ({ demand }) => demand.last.deviation],
  ["demand_seats_smoothed", ({ demand }) => demand.smoothed],
  ["target_seats", ({ target }) => target],
  ["current_r", ({ queues }) => queues.virtualTime],
];

const FLOW_GAUGES: readonly CounterValue[] = [
  ["current_inqueue_requests", ({ waiting }) => waiting],
  ["current_inqueue_seats", ({ waitingSeats }) => waitingSeats],
  ["current_executing_requests", ({ executing }) => executing],
  ["current_executing_seats", ({ executingSeats }) => executingSeats],
];

const FLOW_TOTALS: readonly CounterValue[] = [
  ["dispatched_requests_total", ({ dispatched }) => dispatched],
  ["request_dispatch_no_accommodation_total", ({ noRoom }) => noRoom],
];

/** Everything about flow control under upstream's names, in the Prometheus text format, without a last line end. */
export function renderFlowMetrics(control: FlowControl): string {
  const levels = [...control.levels.values()];
  const flows = levels.flatMap((level) =>
    [...level.counters].map(([schema, counters]) => ({
      counters,
      labels: `flow_schema="${schema}",priority_level="${level.name}"`,
    })),
  );
  const lines: string[] = [];
  const type = (name: string, kind: string): void => void lines.push(`# TYPE ${PREFIX}${name} ${kind}`);
  for (const [name, value] of LEVEL_GAUGES) {
    type(name, "gauge");
    for (const level of levels) lines.push(`${PREFIX}${name}{priority_level="${level.name}"} ${value(level)}`);
  }
  type("seat_fair_frac", "gauge");
  lines.push(`${PREFIX}seat_fair_frac ${control.fairFraction}`);
  for (const [kind, values] of [
    ["gauge", FLOW_GAUGES],
    ["counter", FLOW_TOTALS],
  ] as const) {
    for (const [name, value] of values) {
      type(name, kind);
      for (const { counters, labels } of flows) lines.push(`${PREFIX}${name}{${labels}} ${value(counters)}`);
    }
  }
  type("rejected_requests_total", "counter");
  for (const { counters, labels } of flows) {
    for (const [reason, count] of counters.rejected)
      lines.push(`${PREFIX}rejected_requests_total{${labels},reason="${reason}"} ${count}`);
  }
  type("request_wait_duration_seconds", "histogram");
  for (const { counters, labels } of flows) {
    for (const isServed of ["true", "false"] as const) {
      const name = `${PREFIX}request_wait_duration_seconds`;
      lines.push(...counters.waited[isServed].lines(name, `execute="${isServed}",${labels}`));
    }
  }
  type("request_execution_seconds", "histogram");
  for (const { counters, labels } of flows) {
    for (const kind of ["regular", "watch"] as const)
      lines.push(...counters.executed[kind].lines(`${PREFIX}request_execution_seconds`, `${labels},type="${kind}"`));
  }
  for (const [name, of] of [
    ["work_estimated_seats", "estimatedSeats"],
    ["request_queue_length_after_enqueue", "queueLength"],
  ] as const) {
    type(name, "histogram");
    for (const { counters, labels } of flows) lines.push(...counters[of].lines(`${PREFIX}${name}`, labels));
  }
  return lines.join("\n");
}
