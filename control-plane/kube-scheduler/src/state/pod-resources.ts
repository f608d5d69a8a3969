import { QuantityError, quantityMilliValue, quantityValue } from "@coracle/apimachinery";
import type { Container, Pod } from "@coracle/api/core/v1";

/** Amounts by resource name; cpu in milli units, everything else in units. */
export type ResourceAmounts = ReadonlyMap<string, number>;

/** What a pod that says nothing counts as when nodes are compared (not when they are filtered). */
export const DEFAULT_CPU_MILLIS = 100;
export const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024;

/** The amount of one quantity in the units of ResourceAmounts; what is none (no API server takes such) counts as 0. */
export function amountOf(resource: string, text: string): number {
  try {
    return resource === "cpu" ? quantityMilliValue(text) : quantityValue(text);
  } catch (error) {
    if (error instanceof QuantityError) return 0;
    throw error;
  }
}

export function amountsOf(list: Readonly<Record<string, string>> | undefined): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const [name, text] of Object.entries(list ?? {})) amounts.set(name, amountOf(name, text));
  return amounts;
}

function addTo(total: Map<string, number>, more: ResourceAmounts): void {
  for (const [name, amount] of more) total.set(name, (total.get(name) ?? 0) + amount);
}

function raiseTo(total: Map<string, number>, other: ResourceAmounts): void {
  for (const [name, amount] of other) total.set(name, Math.max(total.get(name) ?? 0, amount));
}

type Quantities = Readonly<Record<string, string>>;

/**
 * What a running container has been given, and has, where that is not what it asks for now: it is being resized. Both
 * count until the node has done it; what it asks for in vain does not.
 */
export function resizedRequests(pod: Pod, { name, resources, restartPolicy }: Container): readonly Quantities[] {
  const { containerStatuses, initContainerStatuses } = pod.status ?? {};
  if (containerStatuses === undefined && initContainerStatuses === undefined) return NONE;
  const status =
    containerStatuses?.find((each) => each.name === name) ??
    (restartPolicy === "Always" ? initContainerStatuses?.find((each) => each.name === name) : undefined);
  if (status?.resources === undefined) return NONE;
  const { requests = NOTHING } = resources ?? {};
  const { allocatedResources = NOTHING } = status;
  const { requests: actual = NOTHING } = status.resources;
  return isAsAsked(requests, allocatedResources) && isAsAsked(requests, actual) ? NONE : [allocatedResources, actual];
}

const NONE: readonly Quantities[] = [];
const NOTHING: Quantities = {};

/** Says nothing else than was asked for. */
function isAsAsked(asked: Quantities, given: Quantities): boolean {
  for (const name in given) if (given[name] !== asked[name]) return false;
  return true;
}

/** The node will never do what was asked for last. */
export const isResizeInfeasible = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, reason }) => type === "PodResizePending" && reason === "Infeasible") === true;

/** With defaults for what a container leaves out, as far as `defaults` has them. */
function requestsOf(pod: Pod, container: Container, defaults?: ResourceAmounts): Map<string, number> {
  const resized = resizedRequests(pod, container);
  const isAsked = resized.length === 0 || !isResizeInfeasible(pod);
  const amounts = amountsOf(isAsked ? container.resources?.requests : undefined);
  for (const each of resized) raiseTo(amounts, amountsOf(each));
  for (const [name, amount] of defaults ?? []) if (!amounts.has(name)) amounts.set(name, amount);
  return amounts;
}

/**
 * What a pod needs at any one time: its containers together, or one init container at its turn (with the restartable
 * ones started before it), whichever is more; plus overhead. Pod-level requests replace the sum where given.
 */
export function podRequests(pod: Pod, defaults?: ResourceAmounts): ResourceAmounts {
  return requestsWith(pod, pod.spec.resources?.requests, defaults);
}

function requestsWith(pod: Pod, ofPod: Quantities | undefined, defaults?: ResourceAmounts): ResourceAmounts {
  const total = sumUp(pod, (container) => requestsOf(pod, container, defaults));
  for (const [name, amount] of amountsOf(ofPod)) total.set(name, amount);
  addTo(total, amountsOf(pod.spec.overhead));
  return total;
}

/** As `podRequests`, of what it may have at most; what has no limit is not there. */
export function podLimits(pod: Pod): ResourceAmounts {
  const total = sumUp(pod, ({ resources }) => amountsOf(resources?.limits));
  for (const [name, amount] of amountsOf(pod.spec.resources?.limits)) total.set(name, amount);
  for (const [name, amount] of amountsOf(pod.spec.overhead))
    if ((total.get(name) ?? 0) > 0) total.set(name, (total.get(name) ?? 0) + amount);
  return total;
}

/** What containers come to at any one time. */
function sumUp(pod: Pod, amountsOfContainer: (container: Container) => ResourceAmounts): Map<string, number> {
  const total = new Map<string, number>();
  for (const container of pod.spec.containers) addTo(total, amountsOfContainer(container));
  const sidecars = new Map<string, number>();
  const initPeak = new Map<string, number>();
  for (const container of pod.spec.initContainers ?? []) {
    const own = amountsOfContainer(container);
    if (container.restartPolicy === "Always") {
      addTo(total, own);
      addTo(sidecars, own);
      raiseTo(initPeak, sidecars);
    } else {
      const atItsTurn = new Map(sidecars);
      addTo(atItsTurn, own);
      raiseTo(initPeak, atItsTurn);
    }
  }
  raiseTo(total, initPeak);
  return total;
}

const SCORING_DEFAULTS: ResourceAmounts = new Map([
  ["cpu", DEFAULT_CPU_MILLIS],
  ["memory", DEFAULT_MEMORY_BYTES],
]);

/**
 * As podRequests, but a container without cpu or memory request counts as a small one; where the pod as a whole asks for
 * something, only if nobody asks for that.
 */
export function scoringRequests(pod: Pod): ResourceAmounts {
  if (Object.keys(pod.spec.resources?.requests ?? NOTHING).length === 0) return podRequests(pod, SCORING_DEFAULTS);
  const asked = podRequests(pod);
  return podRequests(pod, new Map([...SCORING_DEFAULTS].filter(([name]) => !asked.has(name))));
}

/** As `scoringRequests`, of a pod that is yet to come: what it asks for as a whole is not looked at, which is upstream's way. */
export function requestsToScore(pod: Pod): ResourceAmounts {
  return requestsWith(pod, undefined, SCORING_DEFAULTS);
}
