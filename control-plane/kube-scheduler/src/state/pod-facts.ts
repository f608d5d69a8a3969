import type { Container, Pod } from "@coracle/api/core/v1";
import {
  isResizeInfeasible,
  podRequests,
  resizedRequests,
  scoringRequests,
  type ResourceAmounts,
} from "./pod-resources.ts";

/** A host port that a pod takes. */
export interface HostPort {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

/** What a placed pod takes from its node. Shared by all pods that take the same. */
export interface PodFacts {
  readonly requests: ResourceAmounts;
  /** With defaults for pods that request nothing. */
  readonly scored: ResourceAmounts;
  readonly ports: readonly HostPort[];
}

/** Kept for pods to come; those of placed pods live on with them. */
const MAX_KEPT = 4_096;

const known = new Map<string, PodFacts>();

/** What the pod takes. */
export function factsOf(pod: Pod): PodFacts {
  const key = takesKey(pod);
  let facts = known.get(key);
  if (facts === undefined) {
    if (known.size >= MAX_KEPT) known.clear();
    facts = { requests: podRequests(pod), scored: scoringRequests(pod), ports: hostPortsOf(pod) };
    known.set(key, facts);
  }
  return facts;
}

/** Text that is equal for pods that take the same. */
export function takesKey(pod: Pod): string {
  const { spec, status } = pod;
  let key = "";
  if (status?.containerStatuses !== undefined) key = resizeKey(pod);
  for (const container of spec.containers) key += containerKey(container);
  for (const container of spec.initContainers ?? []) {
    key += `${container.restartPolicy === "Always" ? "\u0002s" : "\u0002i"}${containerKey(container)}`;
  }
  if (spec.resources?.requests !== undefined) key += `\u0003${JSON.stringify(spec.resources.requests)}`;
  if (spec.overhead !== undefined) key += `\u0004${JSON.stringify(spec.overhead)}`;
  return key;
}

/** Text for containers that are being resized; mostly none. */
function resizeKey(pod: Pod): string {
  let key = "";
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
    const resized = resizedRequests(pod, container);
    if (resized.length > 0) key += `\u0005${container.name}${JSON.stringify(resized)}${isResizeInfeasible(pod)}`;
  }
  return key;
}

function containerKey({ resources, ports }: Container): string {
  let key = "\u0001";
  const requests = resources?.requests;
  if (requests !== undefined) for (const name in requests) key += `${name}=${requests[name]},`;
  if (ports !== undefined)
    for (const { hostPort, hostIP, protocol } of ports)
      if (hostPort !== undefined && hostPort !== 0) key += `${protocol ?? ""}/${hostIP ?? ""}/${hostPort};`;
  return key;
}

/** Host ports of containers that run as long as the pod. */
export function hostPortsOf(pod: Pod): readonly HostPort[] {
  const ports: HostPort[] = [];
  const add = (container: Container): void => {
    for (const { hostPort = 0, hostIP = "", protocol = "TCP" } of container.ports ?? [])
      if (hostPort !== 0) ports.push({ protocol, address: hostIP === "" ? "0.0.0.0" : hostIP, port: hostPort });
  };
  pod.spec.containers.forEach(add);
  for (const container of pod.spec.initContainers ?? []) if (container.restartPolicy === "Always") add(container);
  return ports;
}
