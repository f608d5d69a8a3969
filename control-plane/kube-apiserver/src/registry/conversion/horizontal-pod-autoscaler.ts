import { cloneJson, isObject, type Draft } from "@coracle/apimachinery";
import type { Conversion } from "../../storage/converted-storage.ts";
import type { ApiDraft, ApiObject } from "../resource-definition.ts";

const METRICS = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions";

const isCpuUtilization = (metric: Draft): boolean => {
  const resource = metric.resource as Draft | undefined;
  const target = resource?.target as Draft | undefined;
  return metric.type === "Resource" && resource?.name === "cpu" && target?.averageUtilization !== undefined;
};
const isCurrentCpu = (metric: Draft): boolean => {
  const resource = metric.resource as Draft | undefined;
  const current = resource?.current as Draft | undefined;
  return metric.type === "Resource" && resource?.name === "cpu" && current?.averageUtilization !== undefined;
};

function toV1(object: ApiObject): ApiObject {
  const draft = cloneJson(object) as unknown as ApiDraft;
  const spec = (draft.spec ?? {}) as Draft;
  const status = (draft.status ?? {}) as Draft;
  const { metrics = [], behavior, ...wanted } = spec as { metrics?: Draft[]; behavior?: unknown };
  const {
    currentMetrics,
    conditions = [],
    ...seen
  } = status as { currentMetrics?: Draft[] | null; conditions?: Draft[] };
  const annotations: Draft = {};
  const cpu = metrics.find(isCpuUtilization);
  const others = metrics.filter((metric) => metric !== cpu);
  if (others.length > 0) annotations[METRICS] = JSON.stringify(others.map(metricToV1));
  if (behavior !== undefined) annotations[BEHAVIOR] = JSON.stringify(behavior);
  if (conditions.length > 0) annotations[CONDITIONS] = JSON.stringify(conditions);
  const currentCpu = (currentMetrics ?? []).find(isCurrentCpu);
  const otherCurrent = (currentMetrics ?? []).filter((metric) => metric !== currentCpu);
  if (otherCurrent.length > 0) annotations[CURRENT_METRICS] = JSON.stringify(otherCurrent);
  if (Object.keys(annotations).length > 0) {
    draft.metadata.annotations = { ...(draft.metadata.annotations as Draft | undefined), ...annotations };
  }
  const target = (cpu?.resource as Draft | undefined)?.target as Draft | undefined;
  const current = (currentCpu?.resource as Draft | undefined)?.current as Draft | undefined;
  draft.apiVersion = "autoscaling/v1";
  draft.spec = {
    ...wanted,
    ...(target === undefined ? {} : { targetCPUUtilizationPercentage: target.averageUtilization }),
  };
  draft.status = {
    currentReplicas: 0,
    desiredReplicas: 0,
    ...seen,
    ...(current === undefined ? {} : { currentCPUUtilizationPercentage: current.averageUtilization }),
  };
  return draft as unknown as ApiObject;
}

/** A metric in the shape of autoscaling/v1's annotation. */
function metricToV1(metric: Draft): Draft {
  if (metric.type !== "Resource" || !isObject(metric.resource)) return metric;
  const target = (metric.resource.target ?? {}) as Draft;
  return {
    type: "Resource",
    resource: {
      name: metric.resource.name,
      ...(target.averageUtilization === undefined ? {} : { targetAverageUtilization: target.averageUtilization }),
      ...(target.averageValue === undefined ? {} : { targetAverageValue: target.averageValue }),
    },
  };
}

function metricFromV1(metric: Draft): Draft {
  if (metric.type !== "Resource" || !isObject(metric.resource) || metric.resource.target !== undefined) return metric;
  const { name, targetAverageUtilization, targetAverageValue } = metric.resource;
  const target =
    targetAverageUtilization === undefined
      ? { type: "AverageValue", averageValue: targetAverageValue }
      : { type: "Utilization", averageUtilization: targetAverageUtilization };
  return { type: "Resource", resource: { name, target } };
}

function takeAnnotation(annotations: Draft, name: string): unknown {
  const text = annotations[name];
  if (typeof text !== "string") return undefined;
  delete annotations[name];
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function toV2(draft: ApiDraft): ApiDraft {
  const annotations: Draft = { ...(draft.metadata.annotations as Draft | undefined) };
  const { targetCPUUtilizationPercentage, ...wanted } = (draft.spec ?? {}) as Draft;
  const { currentCPUUtilizationPercentage, ...seen } = (draft.status ?? {}) as Draft;
  const metrics: Draft[] = [];
  const others = takeAnnotation(annotations, METRICS);
  if (Array.isArray(others)) metrics.push(...(others as Draft[]).map(metricFromV1));
  if (targetCPUUtilizationPercentage !== undefined) {
    const target = { type: "Utilization", averageUtilization: targetCPUUtilizationPercentage };
    metrics.push({ type: "Resource", resource: { name: "cpu", target } });
  }
  const behavior = takeAnnotation(annotations, BEHAVIOR);
  const conditions = takeAnnotation(annotations, CONDITIONS);
  const current = takeAnnotation(annotations, CURRENT_METRICS);
  const currentMetrics: Draft[] = Array.isArray(current) ? (current as Draft[]) : [];
  if (currentCPUUtilizationPercentage !== undefined) {
    const value = { averageUtilization: currentCPUUtilizationPercentage };
    currentMetrics.unshift({ type: "Resource", resource: { name: "cpu", current: value } });
  }
  // v1 shows it always.
  if (seen.currentReplicas === 0) delete seen.currentReplicas;
  const { annotations: _annotations, ...metadata } = draft.metadata;
  return {
    ...draft,
    apiVersion: "autoscaling/v2",
    metadata: Object.keys(annotations).length === 0 ? metadata : { ...metadata, annotations },
    spec: {
      ...wanted,
      ...(metrics.length === 0 ? {} : { metrics }),
      ...(behavior === undefined ? {} : { behavior }),
    },
    status: {
      ...seen,
      currentMetrics: currentMetrics.length === 0 ? null : currentMetrics,
      ...(Array.isArray(conditions) ? { conditions: conditions as Draft[] } : {}),
    },
  };
}

/** autoscaling/v1 over autoscaling/v2: what v1 has no member for travels in annotations. */
export function autoscalerConversion(finish: (draft: ApiDraft) => void): Conversion {
  return {
    fromStored: toV1,
    toStored(draft) {
      const stored = toV2(draft);
      finish(stored);
      return stored;
    },
  };
}
