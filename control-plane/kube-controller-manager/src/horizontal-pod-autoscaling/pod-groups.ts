import type { Pod } from "@coracle/api/core/v1";
import { hasPodLevelResources, isPodLevelResource, podRequests, quantityMilliValue } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { isReady, podCondition } from "../pods/pod-state.ts";
import { instantOf } from "../time/timestamp.ts";

/** What a pod used, as one of the metrics APIs tells it. */
export interface PodSample {
  /** In thousandths. */
  readonly value: number;
  readonly timestamp: Instant;
  /** How long the sample looked. */
  readonly windowMs: number;
}

/** By the name of the pod. */
export type PodSamples = ReadonlyMap<string, PodSample>;

/** How young pods are judged. */
export interface ReadinessRules {
  readonly cpuInitializationPeriodMs: number;
  readonly initialReadinessDelayMs: number;
  readonly now: Instant;
}

/** The pods of a target, by what their samples are worth. */
export interface PodGroups {
  readonly readyCount: number;
  readonly unready: readonly string[];
  /** They run, but no metric is known. */
  readonly missing: readonly string[];
  /** Failed or being deleted: they do not count at all. */
  readonly ignored: readonly string[];
}

/** Why a number of replicas cannot be computed; the message is for the user. */
export class MetricError extends Error {
  override readonly name = "MetricError";
}

/** Sorts `pods` by what their samples are worth; only CPU looks at readiness. */
export function groupPods(
  pods: readonly Pod[],
  samples: PodSamples,
  resource: string | undefined,
  rules: ReadinessRules,
): PodGroups {
  let readyCount = 0;
  const unready: string[] = [];
  const missing: string[] = [];
  const ignored: string[] = [];
  for (const pod of pods) {
    const { name = "" } = pod.metadata;
    const sample = samples.get(name);
    if (pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === "Failed") ignored.push(name);
    else if (pod.status?.phase === "Pending") unready.push(name);
    else if (sample === undefined) missing.push(name);
    else if (resource === "cpu" && !isCpuSampleValid(pod, sample, rules)) unready.push(name);
    else readyCount++;
  }
  return { readyCount, unready, missing, ignored };
}

/** A pod that starts uses more CPU than it will: until it has been ready for a window, its sample says nothing. */
function isCpuSampleValid(pod: Pod, sample: PodSample, rules: ReadinessRules): boolean {
  const condition = podCondition(pod, "Ready");
  const startedAt = instantOf(pod.status?.startTime);
  if (condition === undefined || startedAt === undefined) return false;
  const changedAt = instantOf(condition.lastTransitionTime) ?? 0;
  const isUnready = condition.status === "False";
  if (startedAt + rules.cpuInitializationPeriodMs > rules.now)
    return !isUnready && sample.timestamp >= changedAt + sample.windowMs;
  const wasNeverReady = startedAt + rules.initialReadinessDelayMs > changedAt;
  return !(isUnready && wasNeverReady);
}

/** What each pod asks for of `resource`, in thousandths. Throws MetricError where one does not ask. */
export function requestsOf(
  pods: readonly Pod[],
  container: string | undefined,
  resource: string,
): ReadonlyMap<string, number> {
  return new Map(pods.map((pod) => [pod.metadata.name ?? "", requestOf(pod, container, resource)]));
}

function requestOf(pod: Pod, container: string | undefined, resource: string): number {
  const { name = "" } = pod.metadata;
  const ofPod = pod.spec.resources?.requests;
  const isAskedForByPod =
    ofPod !== undefined && hasPodLevelResources(pod) && Object.keys(ofPod).some((each) => isPodLevelResource(each));
  if (container === undefined && isAskedForByPod) {
    const request = podRequests(pod).get(resource);
    if (request === undefined) throw new MetricError(`missing pod-level request for ${resource} in Pod ${name}`);
    return Number(request.nano / 1_000_000n);
  }
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  let total = 0;
  let isFound = container === undefined;
  for (const each of [...pod.spec.containers, ...sidecars]) {
    if (container !== undefined && container !== each.name) continue;
    const request = each.resources?.requests?.[resource];
    if (request === undefined)
      throw new MetricError(`missing request for ${resource} in container ${each.name} of Pod ${name}`);
    total += quantityMilliValue(request);
    isFound = true;
  }
  if (!isFound) throw new MetricError(`container ${container} not found in Pod ${name}`);
  return total;
}

/** Pods that run and are ready. Throws MetricError when there is no pod at all. */
export function countReadyPods(pods: readonly Pod[]): number {
  requirePods(pods);
  return pods.filter((pod) => pod.status?.phase === "Running" && isReady(pod)).length;
}

/** Throws MetricError when there is no pod. */
export function requirePods(pods: readonly Pod[]): void {
  if (pods.length === 0) throw new MetricError("no pods returned by selector while calculating replica count");
}
