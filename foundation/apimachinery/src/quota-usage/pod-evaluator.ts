import type { Container, Pod, PodAffinityTerm, ScopedResourceSelectorRequirement } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import type { JsonObject } from "../json/json.ts";
import type { Quantity } from "../quantity/quantity.ts";
import { addAmounts, ONE, readAmounts, type Amounts } from "./amounts.ts";
import { matchesOperator, type QuotaEvaluator } from "./evaluator.ts";
import { hasPodLevelResources, podLimits, podRequests } from "./pod-resources.ts";

const COUNTED: ReadonlySet<string> = new Set([
  "count/pods",
  "pods",
  "cpu",
  "memory",
  "ephemeral-storage",
  "requests.cpu",
  "requests.memory",
  "requests.ephemeral-storage",
  "limits.cpu",
  "limits.memory",
  "limits.ephemeral-storage",
]);
/** Every container must say these when a quota counts them. */
const DEMANDED: ReadonlySet<string> = new Set([
  "cpu",
  "memory",
  "requests.cpu",
  "requests.memory",
  "limits.cpu",
  "limits.memory",
]);
const DEVICE_CLASS_PREFIX = "deviceclass.resource.kubernetes.io/";

const isNative = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");
const isExtended = (name: string): boolean =>
  (!isNative(name) && !name.startsWith("requests.")) || name.startsWith(DEVICE_CLASS_PREFIX);
const isQuotaOfExtended = (name: string): boolean =>
  name.startsWith("requests.") && (!isNative(name) || name.startsWith(`requests.${DEVICE_CLASS_PREFIX}`));

const asPod = (object: JsonObject): Pod => object as unknown as Pod;

/** The names under which requests and limits are counted. */
function countedUsage(requests: Amounts, limits: Amounts): Map<string, Quantity> {
  const out = new Map<string, Quantity>([["pods", ONE]]);
  for (const name of ["cpu", "memory", "ephemeral-storage"]) {
    const request = requests.get(name);
    const limit = limits.get(name);
    if (request !== undefined) out.set(name, request).set(`requests.${name}`, request);
    if (limit !== undefined) out.set(`limits.${name}`, limit);
  }
  for (const [name, request] of requests) {
    if (name.startsWith("hugepages-")) out.set(name, request).set(`requests.${name}`, request);
    if (isExtended(name)) out.set(`requests.${name}`, request);
  }
  return out;
}

/** Whether the pod must end by itself. */
export const isTerminatingPod = (pod: Pod): boolean => (pod.spec?.activeDeadlineSeconds ?? -1) >= 0;

/** Whether a pod still uses what it asked for: it has not ended, and is not past its grace. */
export function usesResources(pod: Pod, now: Instant): boolean {
  const phase = pod.status?.phase;
  if (phase === "Failed" || phase === "Succeeded") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return true;
  return now <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

/** A pod none of whose containers (and not itself) asks for or limits processor or memory. */
function isBestEffort(pod: Pod): boolean {
  const spec = pod.spec as (Pod["spec"] & { resources?: Container["resources"] | null }) | undefined;
  if (spec === undefined) return true;
  // Quality of service was told at creation; before that it follows from the spec.
  if (pod.status?.qosClass !== undefined && pod.status.qosClass !== "") return pod.status.qosClass === "BestEffort";
  const says = (resources: Container["resources"] | null | undefined): boolean =>
    [resources?.requests, resources?.limits].some((list) =>
      Object.entries((list ?? {}) as Record<string, string>).some(
        ([name, text]) => (name === "cpu" || name === "memory") && readAmounts({ [name]: text }).get(name)!.nano > 0n,
      ),
    );
  if (hasPodLevelResources(pod)) return !says(spec.resources);
  return ![...spec.containers, ...(spec.initContainers ?? [])].some(({ resources }) => says(resources));
}

function looksIntoOtherNamespaces(pod: Pod): boolean {
  const crosses = (term: PodAffinityTerm): boolean =>
    (term.namespaces ?? []).length > 0 || (term.namespaceSelector !== undefined && term.namespaceSelector !== null);
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  return [podAffinity, podAntiAffinity].some(
    (affinity) =>
      (affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).some(crosses) ||
      (affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).some((one) => crosses(one.podAffinityTerm)),
  );
}

function isInScope(scope: ScopedResourceSelectorRequirement, object: JsonObject): boolean {
  const pod = asPod(object);
  switch (scope.scopeName) {
    case "Terminating":
      return isTerminatingPod(pod);
    case "NotTerminating":
      return !isTerminatingPod(pod);
    case "BestEffort":
      return isBestEffort(pod);
    case "NotBestEffort":
      return !isBestEffort(pod);
    case "PriorityClass": {
      const name = pod.spec?.priorityClassName;
      return matchesOperator(scope, name === undefined || name === "" ? undefined : name);
    }
    case "CrossNamespacePodAffinity":
      return looksIntoOtherNamespaces(pod);
    default:
      return false;
  }
}

/** `limits.cpu for: a,b; requests.memory for: a`, or nothing. */
function unsaid(names: readonly string[], pod: Pod): string | undefined {
  if (hasPodLevelResources(pod)) return undefined;
  const demanded = names.filter((name) => DEMANDED.has(name));
  const missing = new Map<string, Set<string>>();
  for (const { name, resources } of [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]) {
    const said = countedUsage(
      readAmounts(resources?.requests as Record<string, string> | undefined),
      readAmounts(resources?.limits as Record<string, string> | undefined),
    );
    for (const one of demanded) {
      if (said.has(one)) continue;
      const containers = missing.get(one) ?? new Set();
      missing.set(one, containers.add(name));
    }
  }
  if (missing.size === 0) return undefined;
  const lines = [...missing.keys()]
    .toSorted()
    .map((one) => `${one} for: ${[...missing.get(one)!].toSorted().join(",")}`);
  return `must specify ${lines.join("; ")}`;
}

/** What pods use. */
export const podEvaluator: QuotaEvaluator = {
  group: "",
  resource: "pods",
  handles({ operation, subresource, object, oldObject }) {
    if (subresource === "resize") return operation === "UPDATE";
    if (subresource !== "") return false;
    if (operation === "UPDATE" && object !== undefined && oldObject !== undefined) {
      return isTerminatingPod(asPod(object)) !== isTerminatingPod(asPod(oldObject));
    }
    return operation === "CREATE";
  },
  missing: (names, object) => unsaid(names, asPod(object)),
  matchingNames: (names) =>
    [...names].filter(
      (name) =>
        COUNTED.has(name) ||
        name.startsWith("hugepages-") ||
        name.startsWith("requests.hugepages-") ||
        isQuotaOfExtended(name),
    ),
  isInScope,
  usage(object, now) {
    const pod = asPod(object);
    const count = new Map([["count/pods", ONE]]);
    return usesResources(pod, now) ? addAmounts(count, countedUsage(podRequests(pod), podLimits(pod))) : count;
  },
};
