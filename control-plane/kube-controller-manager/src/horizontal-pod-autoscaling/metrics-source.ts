import type { CrossVersionObjectReference } from "@coracle/api/autoscaling/v2";
import type { LabelSelector } from "@coracle/api/meta/v1";
import type { PodMetrics, PodMetricsList } from "@coracle/api/metrics/v1beta1";
import { compileLabelSelector, parseDuration, quantityMilliValue } from "@coracle/apimachinery";
import type { ApiClient } from "@coracle/client";
import { instantOf } from "../time/timestamp.ts";
import { reasonOf } from "./not-served.ts";
import { MetricError, type PodSample, type PodSamples } from "./pod-groups.ts";
import type { RestMapper } from "./rest-mapper.ts";

/** What the three metrics APIs tell. Each rejects with MetricError, in upstream's words, when it tells nothing. */
export interface MetricsSource {
  /** What pods (or one container of each) use of a resource. */
  resource(query: ResourceQuery, signal: AbortSignal): Promise<PodSamples>;
  /** A metric of pods. */
  pods(query: PodsQuery, signal: AbortSignal): Promise<PodSamples>;
  /** A metric of one object, in thousandths. */
  object(query: ObjectQuery, signal: AbortSignal): Promise<number>;
  /** The sum of an external metric's series, in thousandths. */
  external(query: ExternalQuery, signal: AbortSignal): Promise<number>;
}

export interface ResourceQuery {
  readonly namespace: string;
  /** Of the pods, as text. */
  readonly selector: string;
  readonly resource: string;
  readonly container?: string | undefined;
}

export interface PodsQuery {
  readonly namespace: string;
  readonly selector: string;
  readonly metric: string;
  readonly metricSelector?: LabelSelector | undefined;
}

export interface ObjectQuery {
  readonly namespace: string;
  readonly object: CrossVersionObjectReference;
  readonly metric: string;
  readonly metricSelector?: LabelSelector | undefined;
}

export interface ExternalQuery {
  readonly namespace: string;
  readonly metric: string;
  readonly metricSelector?: LabelSelector | undefined;
}

const CUSTOM_GROUP = "custom.metrics.k8s.io";
/** Newest first. */
const CUSTOM_VERSIONS = ["v1beta2", "v1beta1"];
const DEFAULT_WINDOW_MS = 60_000;

/** One value of the custom or external metrics API; only `value` is always there. */
interface MetricValue {
  readonly describedObject?: { readonly name?: string };
  readonly timestamp?: string;
  readonly value: string;
  readonly windowSeconds?: number;
  /** As v1beta1 spells it. */
  readonly window?: number;
}

interface MetricValueList {
  readonly items?: readonly MetricValue[] | null;
}

/** Asks the APIs that the server aggregates. */
export function createMetricsSource(client: ApiClient, mapper: RestMapper): MetricsSource {
  async function read<T>(what: string, resource: string, path: string, signal: AbortSignal): Promise<T> {
    try {
      return (await client.raw("GET", path, undefined, { signal })) as T;
    } catch (error) {
      if (signal.aborted) throw error;
      throw new MetricError(`unable to fetch metrics from ${what} metrics API: ${reasonOf(error, resource)}`);
    }
  }

  async function customVersion(signal: AbortSignal): Promise<string> {
    const path = `/apis/${CUSTOM_GROUP}`;
    const group = await read<{ versions?: readonly { version?: string }[] }>("custom", "", path, signal).catch(
      (error: unknown) => {
        if (error instanceof MetricError)
          throw new MetricError(
            `unable to fetch metrics from custom metrics API: no custom metrics API (${CUSTOM_GROUP}) registered`,
          );
        throw error;
      },
    );
    const served = new Set((group.versions ?? []).map(({ version }) => version));
    return CUSTOM_VERSIONS.find((each) => served.has(each)) ?? "v1beta1";
  }

  async function custom(
    { namespace, metric, metricSelector }: PodsQuery | ObjectQuery,
    target: string,
    parameters: Record<string, string>,
    signal: AbortSignal,
  ): Promise<readonly MetricValue[]> {
    const version = await customVersion(signal);
    const wanted = textOf(metricSelector);
    const query = queryOf({ ...parameters, ...(wanted === "" ? {} : { metricLabelSelector: wanted }) });
    const path = `/apis/${CUSTOM_GROUP}/${version}/namespaces/${encodeURIComponent(namespace)}/${target}/${encodeURIComponent(metric)}${query}`;
    const { items } = await read<MetricValueList>("custom", `${target} ${CUSTOM_GROUP}`, path, signal);
    return items ?? [];
  }

  return {
    async resource({ namespace, selector, resource, container }, signal) {
      const query = queryOf({ labelSelector: selector });
      const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${encodeURIComponent(namespace)}/pods${query}`;
      const { items } = await read<PodMetricsList>("resource", "get pods.metrics.k8s.io", path, signal);
      if ((items ?? []).length === 0) throw new MetricError("no metrics returned from resource metrics API");
      const samples = new Map<string, PodSample>();
      for (const metrics of items) {
        const value = usageOf(metrics, resource, container);
        if (value === undefined) continue;
        const timestamp = instantOf(metrics.timestamp) ?? 0;
        samples.set(metrics.metadata.name ?? "", { value, timestamp, windowMs: durationMs(metrics.window) });
      }
      return samples;
    },

    async pods(query, signal) {
      const values = await custom(query, "pods/*", { labelSelector: query.selector }, signal);
      if (values.length === 0) throw new MetricError("no metrics returned from custom metrics API");
      return new Map(values.map((each) => [each.describedObject?.name ?? "", sampleOf(each)]));
    },

    async object(query, signal) {
      const { apiVersion = "", kind, name } = query.object;
      const isNamespace = kind === "Namespace" && (apiVersion === "" || apiVersion === "v1");
      const target = isNamespace
        ? "metrics"
        : `${await resourceOf(mapper, apiVersion, kind, signal)}/${encodeURIComponent(name)}`;
      const values = await custom(query, target, {}, signal);
      if (values.length !== 1)
        throw new MetricError(
          `unable to fetch metrics from custom metrics API: the custom metrics API server returned ${values.length} results when we asked for exactly one`,
        );
      return quantityMilliValue(values[0]?.value);
    },

    async external({ namespace, metric, metricSelector }, signal) {
      const wanted = textOf(metricSelector);
      const query = queryOf(wanted === "" ? {} : { labelSelector: wanted });
      const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${encodeURIComponent(namespace)}/${encodeURIComponent(metric)}${query}`;
      const { items } = await read<MetricValueList>("external", `get ${metric}.external.metrics.k8s.io`, path, signal);
      if ((items ?? []).length === 0) throw new MetricError("no metrics returned from external metrics API");
      return (items ?? []).reduce((sum, { value }) => sum + quantityMilliValue(value), 0);
    },
  };
}

async function resourceOf(mapper: RestMapper, apiVersion: string, kind: string, signal: AbortSignal): Promise<string> {
  const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
  try {
    const [mapping] = await mapper.mappingsOf(group, kind, signal);
    return group === "" ? (mapping?.plural ?? "") : `${mapping?.plural}.${group}`;
  } catch (error) {
    if (signal.aborted) throw error;
    const qualified = group === "" ? kind : `${kind}.${group}`;
    throw new MetricError(
      `unable to fetch metrics from custom metrics API: unable to map kind ${qualified} to resource: ${String((error as Error).message)}`,
    );
  }
}

/** What all containers (or `container`) of a pod use; undefined when one of them says nothing. */
function usageOf({ containers }: PodMetrics, resource: string, container: string | undefined): number | undefined {
  if (container !== undefined) {
    const usage = containers.find(({ name }) => name === container)?.usage[resource];
    return usage === undefined ? undefined : quantityMilliValue(usage);
  }
  if (containers.length === 0) return undefined;
  let total = 0;
  for (const { usage } of containers) {
    const value = usage[resource];
    if (value === undefined) return undefined;
    total += quantityMilliValue(value);
  }
  return total;
}

function sampleOf({ value, timestamp, windowSeconds, window = windowSeconds }: MetricValue): PodSample {
  return {
    value: quantityMilliValue(value),
    timestamp: instantOf(timestamp) ?? 0,
    windowMs: window === undefined ? DEFAULT_WINDOW_MS : window * 1000,
  };
}

const textOf = (selector: LabelSelector | undefined): string =>
  selector === undefined ? "" : compileLabelSelector(selector).toString();

function queryOf(parameters: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(parameters).toString();
  return text === "" ? "" : `?${text}`;
}

/** `30s`, `1m0s`: milliseconds. */
const durationMs = (text: string): number => Number((parseDuration(text) ?? 0n) / 1_000_000n);
