import type { Container, Pod, ResourceFieldSelector } from "@coracle/api/core/v1";
import { quantityValue } from "../resources/quantity.ts";

/** What stands in for limits that a container does not have. */
export interface NodeAmounts {
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  readonly ephemeralStorageBytes: number;
}

/** Escaped as in a quoted Go string: `key="value"` lines of the downward API. */
function lines(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}

/** A pod field by its path; undefined when the path is not supported. */
export function fieldValue(
  pod: Pod,
  path: string,
  addresses: { readonly podIps: readonly string[]; readonly nodeIps: readonly string[] },
): string | undefined {
  const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/.exec(path);
  if (subscript !== null) {
    const map = subscript[1] === "metadata.labels" ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[subscript[2] ?? ""] ?? "";
  }
  switch (path) {
    case "metadata.name":
      return pod.metadata.name ?? "";
    case "metadata.namespace":
      return pod.metadata.namespace ?? "";
    case "metadata.uid":
      return pod.metadata.uid ?? "";
    case "metadata.labels":
      return lines(pod.metadata.labels);
    case "metadata.annotations":
      return lines(pod.metadata.annotations);
    case "spec.nodeName":
      return pod.spec?.nodeName ?? "";
    case "spec.serviceAccountName":
      return pod.spec?.serviceAccountName ?? "";
    case "status.hostIP":
      return addresses.nodeIps[0] ?? "";
    case "status.hostIPs":
      return addresses.nodeIps.join(",");
    case "status.podIP":
      return addresses.podIps[0] ?? "";
    case "status.podIPs":
      return addresses.podIps.join(",");
    default:
      return undefined;
  }
}

/** A container's request or limit, divided and rounded up; what has no limit may use what the node has. */
export function resourceValue(container: Container, selector: ResourceFieldSelector, node: NodeAmounts): string {
  const dot = selector.resource.indexOf(".");
  const kind = selector.resource.slice(0, dot);
  const name = selector.resource.slice(dot + 1);
  const { requests, limits } = container.resources ?? {};
  const text = kind === "limits" ? limits?.[name] : (requests?.[name] ?? undefined);
  let value = quantityValue(text);
  if (kind === "limits" && text === undefined) {
    if (name === "cpu") value = node.cpuMillis / 1000;
    else if (name === "memory") value = node.memoryBytes;
    else if (name === "ephemeral-storage") value = node.ephemeralStorageBytes;
  }
  const divisor = quantityValue(selector.divisor) || 1;
  return String(Math.ceil(value / divisor - 1e-9));
}
