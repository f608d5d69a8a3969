import type { PodSpec } from "@coracle/api/core/v1";
import type { Decoded } from "./decoded.ts";
import { quantityNanos } from "./quantity.ts";

const QOS_RESOURCES = ["cpu", "memory"];

/** The quality-of-service class that a pod's cpu and memory requests and limits give it. */
export function qosClass(spec: Decoded<PodSpec>): "Guaranteed" | "Burstable" | "BestEffort" {
  const holders =
    spec.resources !== undefined && Object.keys(spec.resources).length > 0
      ? [spec.resources]
      : [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((c) => c.resources);
  let any = false;
  let guaranteed = true;
  for (const resources of holders) {
    for (const name of QOS_RESOURCES) {
      const request = quantityNanos(resources?.requests?.[name]);
      const limit = quantityNanos(resources?.limits?.[name]);
      if (request > 0n || limit > 0n) any = true;
      if (limit === 0n || (resources?.requests?.[name] !== undefined && request !== limit)) guaranteed = false;
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}
