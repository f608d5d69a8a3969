import type { Node, NodeSelectorTerm, Pod } from "@coracle/api/core/v1";
import { podRequest } from "../resources/qos.ts";
import { quantityValue } from "../resources/quantity.ts";

/** Why a pod cannot be run here. */
export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

type Expression = NonNullable<NodeSelectorTerm["matchExpressions"]>[number];

/** Checks a pod that is new here against the node and the pods it already has. */
export function admitPod(pod: Pod, others: readonly Pod[], node: Node): Refusal | undefined {
  const allocatable = node.status?.allocatable ?? {};
  const maxPods = quantityValue(allocatable["pods"]);
  if (maxPods > 0 && others.length + 1 > maxPods) return outOf("pods", 1, others.length, maxPods);
  for (const resource of requestedResources(pod)) {
    const requested = amount(resource, podRequest(pod, resource));
    // An extended resource that this node does not count itself: whoever announced it to the API server does.
    if (requested === 0 || (allocatable[resource] === undefined && isExtended(resource))) continue;
    const used = others.reduce((sum, other) => sum + amount(resource, podRequest(other, resource)), 0);
    const capacity = amount(resource, quantityValue(allocatable[resource]));
    if (used + requested > capacity) return outOf(resource, requested, used, capacity);
  }
  if (!matchesNode(pod, node)) {
    return {
      reason: "NodeAffinity",
      message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    };
  }
  const taken = new Set(others.flatMap(hostPorts));
  if (hostPorts(pod).some((port) => taken.has(port))) {
    return {
      reason: "NodePorts",
      message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    };
  }
  return undefined;
}

const isExtended = (resource: string): boolean => resource.includes("/") && !resource.includes("kubernetes.io/");

function outOf(resource: string, requested: number, used: number, capacity: number): Refusal {
  return {
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  };
}

const amount = (resource: string, value: number): number =>
  resource === "cpu" ? Math.ceil(value * 1000 - 1e-9) : Math.ceil(value - 1e-9);

function requestedResources(pod: Pod): Set<string> {
  const names = new Set<string>();
  for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
    for (const name of Object.keys({ ...container.resources?.limits, ...container.resources?.requests }))
      names.add(name);
  }
  return names;
}

function hostPorts(pod: Pod): string[] {
  return (pod.spec?.containers ?? []).flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => (port.hostPort ?? 0) > 0)
      .map((port) => `${port.protocol ?? "TCP"}/${port.hostIP ?? ""}/${port.hostPort}`),
  );
}

function matchesNode(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) if (labels[key] !== value) return false;
  const terms = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms === undefined) return true;
  return terms.some((term) => {
    const expressions = term.matchExpressions ?? [];
    const fields = term.matchFields ?? [];
    if (expressions.length + fields.length === 0) return false;
    return (
      expressions.every((each) => matches(each, labels[each.key])) &&
      fields.every((each) => matches(each, each.key === "metadata.name" ? node.metadata.name : undefined))
    );
  });
}

function matches({ operator, values = [] }: Expression, actual: string | undefined): boolean {
  switch (operator) {
    case "In":
      return actual !== undefined && values.includes(actual);
    case "NotIn":
      return actual === undefined || !values.includes(actual);
    case "Exists":
      return actual !== undefined;
    case "DoesNotExist":
      return actual === undefined;
    case "Gt":
      return actual !== undefined && Number(actual) > Number(values[0]);
    case "Lt":
      return actual !== undefined && Number(actual) < Number(values[0]);
    default:
      return false;
  }
}
