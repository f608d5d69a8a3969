import type { Pod } from "@coracle/api/core/v1";
import { Gauge } from "@coracle/base";
import { podLimits, podRequests, type ResourceAmounts } from "../state/pod-resources.ts";

const LABELS = ["namespace", "pod", "node", "scheduler", "priority", "resource", "unit"];
const REST =
  "by workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod for resources along with the unit for the resource if any.";

/** What pods that are not over request and may have at most, as Prometheus reads it: upstream's `/metrics/resources`. */
export function podResourceMetrics(pods: readonly Pod[]): string {
  const gauge = (name: string, help: string, amountsOf: (pod: Pod) => ResourceAmounts): string =>
    new Gauge(name, `[STABLE] ${help}`, LABELS, () => rowsOf(pods, amountsOf)).text();
  return (
    gauge("kube_pod_resource_limit", `Resources limit ${REST.replace("by", "for")}`, podLimits) +
    gauge("kube_pod_resource_request", `Resources requested ${REST}`, (pod) => podRequests(pod))
  );
}

function* rowsOf(
  pods: readonly Pod[],
  amountsOf: (pod: Pod) => ResourceAmounts,
): Generator<readonly [string[], number]> {
  for (const pod of pods) {
    const { namespace = "", name = "" } = pod.metadata;
    const { nodeName = "", schedulerName = "", priority } = pod.spec;
    if (nodeName !== "" && ["Succeeded", "Failed"].includes(pod.status?.phase ?? "")) continue;
    for (const [resource, amount] of amountsOf(pod)) {
      if (amount === 0) continue;
      const labels = [namespace, name, nodeName, schedulerName, String(priority ?? ""), resource, unitOf(resource)];
      yield [labels, resource === "cpu" ? amount / 1000 : amount];
    }
  }
}

function unitOf(resource: string): string {
  if (resource === "cpu") return "cores";
  if (["memory", "storage", "ephemeral-storage"].includes(resource) || resource.startsWith("hugepages-"))
    return "bytes";
  return resource.startsWith("attachable-volumes-") ? "integer" : "";
}
