import type {
  ExternalMetricSource,
  HorizontalPodAutoscaler,
  MetricSpec,
  MetricStatus,
  MetricTarget,
  MetricValueStatus,
  ObjectMetricSource,
  PodsMetricSource,
} from "@coracle/api/autoscaling/v2";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { formatQuantity, milliQuantityOf, quantityMilliValue, type QuantityFormat } from "@coracle/apimachinery";
import type { MetricsSource } from "./metrics-source.ts";
import { MetricError } from "./pod-groups.ts";
import {
  replicasByAverage,
  replicasByShare,
  replicasByUtilization,
  replicasByValue,
  type ScaledPods,
} from "./replica-count.ts";

/** What is known of an autoscaler's target while its metrics are asked. */
export interface MetricContext {
  readonly hpa: HorizontalPodAutoscaler;
  readonly target: ScaledPods;
  /** As the target's status says. */
  readonly statusReplicas: number;
  /** Of the target's pods, as text. */
  readonly selector: string;
  readonly source: MetricsSource;
  readonly signal: AbortSignal;
}

/** What one metric asks for. */
export interface Proposal {
  readonly replicas: number;
  /** As events name the metric. */
  readonly metric: string;
  readonly status: MetricStatus;
}

/** A metric that cannot be computed. */
export class MetricFailure extends Error {
  override readonly name = "MetricFailure";
  /** Of the event and the condition. */
  readonly reason: string;
  /** What the event and the condition say; the error itself says more. */
  readonly detail: string;
  /** The autoscaler itself is wrong. */
  readonly isSpecError: boolean;

  constructor(reason: string, detail: string, message: string, isSpecError = false) {
    super(message);
    this.reason = reason;
    this.detail = detail;
    this.isSpecError = isSpecError;
  }
}

const MAX_INT64 = 2n ** 63n - 1n;

const quantityText = (milli: number, format?: QuantityFormat): string =>
  formatQuantity(milliQuantityOf(milli >= Number(MAX_INT64) ? MAX_INT64 : BigInt(milli), format));

/** Asks for one metric and says how many replicas it wants. Rejects with MetricFailure. */
export async function evaluateMetric(spec: MetricSpec, context: MetricContext): Promise<Proposal> {
  if (spec.resource !== undefined && spec.type === "Resource") {
    const { name, target } = spec.resource;
    return await failingAs("FailedGetResourceMetric", `failed to get ${name} resource metric value`, async () => {
      const { replicas, metric, current } = await byResource(context, name, target);
      return { replicas, metric, status: { type: spec.type, resource: { name, current } } };
    });
  }
  if (spec.containerResource !== undefined && spec.type === "ContainerResource") {
    const { name, container, target } = spec.containerResource;
    const what = `failed to get ${container} container metric value`;
    return await failingAs("FailedGetContainerResourceMetric", what, async () => {
      const { replicas, metric, current } = await byResource(context, name, target, container);
      return { replicas, metric, status: { type: spec.type, containerResource: { name, container, current } } };
    });
  }
  if (spec.pods !== undefined && spec.type === "Pods") {
    const { pods } = spec;
    const what = "failed to get pods metric value";
    return await failingAs("FailedGetPodsMetric", what, async () => byPodsMetric(context, pods));
  }
  if (spec.object !== undefined && spec.type === "Object") {
    const { object } = spec;
    const what = "failed to get object metric value";
    return await failingAs("FailedGetObjectMetric", what, async () => byObjectMetric(context, object));
  }
  if (spec.external !== undefined && spec.type === "External") {
    const { external } = spec;
    const what = `failed to get ${external.metric.name} external metric value`;
    return await failingAs("FailedGetExternalMetric", what, async () => byExternalMetric(context, external));
  }
  const message = `unknown metric source type ${JSON.stringify(spec.type)}`;
  throw new MetricFailure("InvalidMetricSourceType", message, message, true);
}

/** A step between what the condition says and what the event of the whole says. */
class Wrapped extends MetricError {
  readonly detail: string;

  constructor(detail: string, message: string) {
    super(message);
    this.detail = detail;
  }
}

async function failingAs(reason: string, what: string, work: () => Promise<Proposal>): Promise<Proposal> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof MetricError)) throw error;
    const detail = error instanceof Wrapped ? error.detail : error.message;
    throw new MetricFailure(reason, detail, `${what}: ${error.message}`);
  }
}

async function named<T>(what: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof MetricError ? new MetricError(`${what}: ${error.message}`) : error;
  }
}

/** As `named`, for what the condition does not say. */
async function wrapped<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof MetricError ? new Wrapped(error.message, `${what}: ${error.message}`) : error;
  }
}

async function byResource(
  { hpa, target, selector, source, signal }: MetricContext,
  resource: string,
  wanted: MetricTarget,
  container?: string,
): Promise<{ readonly replicas: number; readonly metric: string; readonly current: MetricValueStatus }> {
  const namespace = hpa.metadata.namespace ?? "";
  const format = resource === "memory" ? "BinarySI" : "DecimalSI";
  const samples = async () =>
    named(`unable to get metrics for resource ${resource}`, async () =>
      source.resource({ namespace, selector, resource, container }, signal),
    );
  if (wanted.averageValue !== undefined) {
    const targetUsage = quantityMilliValue(wanted.averageValue);
    const { replicas, usage } = await named(`failed to get ${resource} usage`, async () =>
      replicasByAverage(target, await samples(), targetUsage, resource),
    );
    return { replicas, metric: `${resource} resource`, current: { averageValue: quantityText(usage, format) } };
  }
  const { averageUtilization: targetPercent } = wanted;
  if (targetPercent === undefined)
    throw new MetricError(
      "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set",
    );
  const { replicas, usage, utilization } = await named(`failed to get ${resource} utilization`, async () =>
    replicasByUtilization(target, await samples(), { resource, container, targetPercent }),
  );
  return {
    replicas,
    metric: `${resource} ${container === undefined ? "" : "container "}resource utilization (percentage of request)`,
    current: { averageUtilization: utilization, averageValue: quantityText(usage, format) },
  };
}

async function byPodsMetric(
  { hpa, target, selector, source, signal }: MetricContext,
  { metric, target: wanted }: PodsMetricSource,
): Promise<Proposal> {
  const query = {
    namespace: hpa.metadata.namespace ?? "",
    selector,
    metric: metric.name,
    metricSelector: metric.selector,
  };
  const samples = await named(`unable to get metric ${metric.name}`, async () => source.pods(query, signal));
  const { replicas, usage } = replicasByAverage(target, samples, quantityMilliValue(wanted.averageValue));
  return {
    replicas,
    metric: `pods metric ${metric.name}`,
    status: { type: "Pods", pods: { metric, current: { averageValue: quantityText(usage) } } },
  };
}

async function byObjectMetric(
  { hpa, target, statusReplicas, source, signal }: MetricContext,
  { metric, describedObject, target: wanted }: ObjectMetricSource,
): Promise<Proposal> {
  const { namespace = "" } = hpa.metadata;
  const query = { namespace, object: describedObject, metric: metric.name, metricSelector: metric.selector };
  const value = async (): Promise<number> => {
    try {
      return await source.object(query, signal);
    } catch (error) {
      if (!(error instanceof MetricError)) throw error;
      // In this order, which is upstream's.
      throw new MetricError(
        `unable to get metric ${metric.name}: ${describedObject.kind} on ${namespace} ${describedObject.name}/${error.message}`,
      );
    }
  };
  const statusOf = (current: MetricValueStatus): MetricStatus => ({
    type: "Object",
    object: { describedObject, metric, current },
  });
  if (wanted.type === "Value" && wanted.value !== undefined) {
    const { replicas, usage } = replicasByValue(target, await value(), quantityMilliValue(wanted.value));
    const name = `${describedObject.kind} metric ${metric.name}`;
    return { replicas, metric: name, status: statusOf({ value: quantityText(usage) }) };
  }
  if (wanted.type === "AverageValue" && wanted.averageValue !== undefined) {
    const targetPerPod = quantityMilliValue(wanted.averageValue);
    const total = await wrapped(`failed to get ${metric.name} object metric`, value);
    const { replicas, usage } = replicasByShare(statusReplicas, target.tolerances, total, targetPerPod);
    const name = `external metric ${metric.name}(${selectorText(metric.selector)})`;
    return { replicas, metric: name, status: statusOf({ averageValue: quantityText(usage) }) };
  }
  throw new MetricError("invalid object metric source: neither a value target nor an average value target was set");
}

async function byExternalMetric(
  { hpa, target, statusReplicas, source, signal }: MetricContext,
  { metric, target: wanted }: ExternalMetricSource,
): Promise<Proposal> {
  const { namespace = "" } = hpa.metadata;
  const selector = selectorText(metric.selector);
  const total = async (): Promise<number> =>
    named(`unable to get external metric ${namespace}/${metric.name}/${selector}`, async () =>
      source.external({ namespace, metric: metric.name, metricSelector: metric.selector }, signal),
    );
  const answer = (replicas: number, current: MetricValueStatus): Proposal => ({
    replicas,
    metric: `external metric ${metric.name}(${selector})`,
    status: { type: "External", external: { metric, current } },
  });
  if (wanted.averageValue !== undefined) {
    const targetPerPod = quantityMilliValue(wanted.averageValue);
    const sum = await wrapped(`failed to get ${metric.name} external metric`, total);
    const { replicas, usage } = replicasByShare(statusReplicas, target.tolerances, sum, targetPerPod);
    return answer(replicas, { averageValue: quantityText(usage) });
  }
  if (wanted.value !== undefined) {
    const targetUsage = quantityMilliValue(wanted.value);
    const { replicas, usage } = await wrapped(`failed to get external metric ${metric.name}`, async () =>
      replicasByValue(target, await total(), targetUsage),
    );
    return answer(replicas, { value: quantityText(usage) });
  }
  throw new MetricError("invalid external metric source: neither a value target nor an average value target was set");
}

/** A selector as upstream's messages print it. */
export function selectorText(selector: LabelSelector | undefined): string {
  if (selector === undefined) return "nil";
  const labels = Object.entries(selector.matchLabels ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`)
    .join("");
  const expressions = (selector.matchExpressions ?? [])
    .map(
      ({ key, operator, values = [] }) =>
        `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
    )
    .join("");
  return `&LabelSelector{MatchLabels:map[string]string{${labels}},MatchExpressions:[]LabelSelectorRequirement{${expressions}},}`;
}
