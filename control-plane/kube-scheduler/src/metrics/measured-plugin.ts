import type { ColumnPlugin, MovingPart, NodePart } from "../columns/column-plugin.ts";
import type { Plugin, Unfit } from "../framework/plugin.ts";
import type { Count } from "@coracle/base";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

/** One call of so many is timed: where nodes are asked one by one, and else. */
const NODE_SHARE = 128;
const POD_SHARE = 10;

/** What failures of volumes are called, by extension point. */
const VOLUME_STAGES = { Filter: "predicate", Reserve: "assume", PreBind: "bind" } as const;

/**
 * A plugin that is counted and timed wherever it is called; it says the same. What is kept for pods that look alike is
 * counted once: as often as the plugin was really asked.
 */
export function measurePlugin(inner: Plugin, profile: string, metrics: SchedulerMetrics): Plugin {
  const { name } = inner;
  const count = (point: "PreFilter" | "Filter" | "PreScore" | "Score"): Count =>
    metrics.evaluations(name, point, profile);
  const failed = (point: string): void => {
    if (name === "VolumeBinding" && point in VOLUME_STAGES)
      metrics.volumesFailed(VOLUME_STAGES[point as keyof typeof VOLUME_STAGES]);
  };
  const time = <A extends unknown[], R>(
    point: string,
    share: number,
    call: (...args: A) => R,
    statusOf: (answer: Awaited<R>) => string = () => "Success",
  ): ((...args: A) => R) => {
    let calls = 0;
    return (...args) => {
      const isDone = calls++ % share === 0 ? metrics.startPlugin(name, point) : undefined;
      try {
        const answer = call(...args);
        if (answer instanceof Promise)
          answer.then(
            (value: Awaited<R>) => isDone?.(statusOf(value)),
            () => {
              failed(point);
              isDone?.("Error");
            },
          );
        else isDone?.(statusOf(answer as Awaited<R>));
        return answer;
      } catch (error) {
        failed(point);
        isDone?.("Error");
        throw error;
      }
    };
  };

  const measured: { -readonly [K in keyof Plugin]: Plugin[K] } = { ...inner };
  if (inner.preFilter) {
    const asked = count("PreFilter");
    const timed = time("PreFilter", POD_SHARE, inner.preFilter.bind(inner), (answer) =>
      answer?.skip === true ? "Skip" : answer?.rejected === undefined ? "Success" : "UnschedulableAndUnresolvable",
    );
    measured.preFilter = (...args) => {
      const answer = timed(...args);
      if (answer?.skip !== true) asked.value++;
      return answer;
    };
  }
  if (inner.filter) {
    const asked = count("Filter");
    const timed = time("Filter", NODE_SHARE, inner.filter.bind(inner), statusOfUnfit);
    measured.filter = (...args) => {
      asked.value++;
      return timed(...args);
    };
  }
  if (inner.preScore) {
    const asked = count("PreScore");
    const timed = time("PreScore", POD_SHARE, inner.preScore.bind(inner), (answer) =>
      answer?.skip === true ? "Skip" : "Success",
    );
    measured.preScore = (...args) => {
      const answer = timed(...args);
      if (answer?.skip !== true) asked.value++;
      return answer;
    };
  }
  if (inner.score) {
    const asked = count("Score");
    const timed = time("Score", NODE_SHARE, inner.score.bind(inner));
    measured.score = (...args) => {
      asked.value++;
      return timed(...args);
    };
  }
  if (inner.postFilter)
    measured.postFilter = time("PostFilter", 1, inner.postFilter.bind(inner), ({ type }) =>
      type === "nominated" ? "Success" : "Unschedulable",
    );
  if (inner.reserve) measured.reserve = time("Reserve", POD_SHARE, inner.reserve.bind(inner), statusOfReason);
  if (inner.unreserve) measured.unreserve = time("Unreserve", POD_SHARE, inner.unreserve.bind(inner));
  if (inner.permit)
    measured.permit = time("Permit", POD_SHARE, inner.permit.bind(inner), (answer) =>
      typeof answer === "object" ? "Wait" : statusOfReason(answer),
    );
  if (inner.preBind) measured.preBind = time("PreBind", POD_SHARE, inner.preBind.bind(inner));
  if (inner.bind)
    measured.bind = time("Bind", POD_SHARE, inner.bind.bind(inner), (isBound) => (isBound ? "Success" : "Skip"));
  if (inner.postBind) measured.postBind = time("PostBind", POD_SHARE, inner.postBind.bind(inner));
  const { columns } = inner;
  if (columns !== undefined) measured.columns = measureColumns(columns, inner, count);
  return measured;
}

type Counts = (point: "PreFilter" | "Filter" | "PreScore" | "Score") => Count;

function measureColumns(columns: ColumnPlugin, inner: Plugin, count: Counts): ColumnPlugin {
  const measured: { -readonly [K in keyof ColumnPlugin]: ColumnPlugin[K] } = { ...columns };
  if (columns.nodePart)
    measured.nodePart = (pod, state) => {
      const part = columns.nodePart?.(pod, state);
      return part === undefined ? undefined : measureNodePart(part, inner, count);
    };
  if (columns.movingPart)
    measured.movingPart = (pod, state) => {
      const part = columns.movingPart?.(pod, state);
      return part === undefined ? undefined : measureMovingPart(part, inner, count);
    };
  return measured;
}

function measureNodePart(part: NodePart, inner: Plugin, count: Counts): NodePart {
  const measured: { -readonly [K in keyof NodePart]: NodePart[K] } = { ...part };
  if (part.filter) {
    if (inner.preFilter) count("PreFilter").value++;
    const asked = count("Filter");
    measured.filter = (slot) => {
      asked.value++;
      return part.filter?.(slot);
    };
  }
  if (part.score) {
    if (inner.preScore) count("PreScore").value++;
    const asked = count("Score");
    measured.score = (slot) => {
      asked.value++;
      return part.score?.(slot) ?? 0;
    };
  }
  return measured;
}

function measureMovingPart(part: MovingPart, inner: Plugin, count: Counts): MovingPart {
  if (inner.preFilter) count("PreFilter").value++;
  const [filters, scores] = [count("Filter"), count("Score")];
  return {
    kind: part.kind,
    seesAllPods: part.seesAllPods,
    reset: () => part.reset(),
    effectsOf: (group) => part.effectsOf(group),
    isIdle: () => part.isIdle(),
    refusalAt: (slot) => part.refusalAt(slot),
    ...(part.narrow === undefined
      ? {}
      : {
          narrow(slots, length) {
            filters.value += length;
            return part.narrow?.(slots, length) ?? length;
          },
        }),
    addScores(slots, length, weight, totals) {
      scores.value += length;
      part.addScores(slots, length, weight, totals);
    },
  };
}

const statusOfUnfit = (unfit: Unfit | undefined): string =>
  unfit === undefined ? "Success" : unfit.isFinal ? "UnschedulableAndUnresolvable" : "Unschedulable";
const statusOfReason = (reason: unknown): string => (reason === undefined ? "Success" : "Unschedulable");
