import { Pod, type Service, type ServicePort } from "@coracle/api/core/v1";
import { equalJson } from "@coracle/apimachinery";
import type { CacheKey, Lister } from "@coracle/client";
import { labelsMatcher, mapped, type Watch } from "@coracle/controller-kit";
import { isFinished, isReady } from "../pods/pod-state.ts";

export const HEADLESS_LABEL = "service.kubernetes.io/headless";
export const TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";

export const isHeadless = (service: Service): boolean => service.spec?.clusterIP === "None";

/** Services whose endpoints follow from pods; those without selector are filled by others. */
export function hasSelector(service: Service): boolean {
  return service.spec?.selector !== undefined && Object.keys(service.spec.selector).length > 0;
}

/** The pods that the service selects. */
export function podsOf(service: Service, pods: Lister<Pod>): readonly Pod[] {
  const matches = labelsMatcher(service.spec?.selector ?? {});
  return pods.list(service.metadata.namespace).filter((pod) => matches(pod.metadata.labels));
}

/** The number of the container port that the service port means in this pod; undefined: the pod has none of that name. */
function targetPortIn(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === "number") return target === 0 ? port.port : target;
  const { protocol = "TCP" } = port;
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === "Always");
  for (const container of [...pod.spec.containers, ...sidecars])
    for (const candidate of container.ports ?? [])
      if (candidate.name === target && (candidate.protocol ?? "TCP") === protocol) return candidate.containerPort;
  return undefined;
}

/** The numbers of the service's ports in this pod, in their order. */
export function targetPortsIn(pod: Pod, service: Service): readonly (number | undefined)[] {
  return (service.spec?.ports ?? []).map((port) => targetPortIn(pod, port));
}

/** The pod's name in DNS under the service, if it asks for one. */
export function hostnameIn(pod: Pod, service: Service): string | undefined {
  const { hostname, subdomain } = pod.spec;
  return hostname !== undefined && hostname !== "" && subdomain === service.metadata.name ? hostname : undefined;
}

/** Keys of the services that select a pod that changed in a way that endpoints show. */
export function watchServicePods(services: Lister<Service>): Watch {
  return mapped(Pod, (pod, old) => {
    if (old !== undefined && !matters(old, pod)) return [];
    const keys: CacheKey[] = [];
    for (const service of services.list(pod.metadata.namespace)) {
      if (!hasSelector(service)) continue;
      const matches = labelsMatcher(service.spec?.selector ?? {});
      if (matches(pod.metadata.labels) || (old !== undefined && matches(old.metadata.labels)))
        keys.push(`${service.metadata.namespace}/${service.metadata.name}`);
    }
    return keys;
  });
}

function matters(old: Pod, pod: Pod): boolean {
  return (
    isReady(old) !== isReady(pod) ||
    isFinished(old) !== isFinished(pod) ||
    old.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
    old.spec.nodeName !== pod.spec.nodeName ||
    old.spec.hostname !== pod.spec.hostname ||
    !equalJson(old.status?.podIPs ?? old.status?.podIP, pod.status?.podIPs ?? pod.status?.podIP) ||
    !equalJson(old.metadata.labels, pod.metadata.labels)
  );
}
