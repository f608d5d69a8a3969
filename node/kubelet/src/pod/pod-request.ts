import type { Pod, PodStatus, Secret } from "@coracle/api/core/v1";
import type { ReferencedObjects } from "../volume/referenced-objects.ts";
import { sameJson } from "./status-manager.ts";

/** Whether two versions of a pod ask the same of its node. Conditions of others count where readiness depends on them. */
export function isSameRequest(a: Pod, b: Pod): boolean {
  const request = ({ metadata, spec, status }: Pod): unknown => ({
    ...metadata,
    resourceVersion: undefined,
    managedFields: undefined,
    spec,
    gates: (spec?.readinessGates ?? []).map(({ conditionType }) =>
      status?.conditions?.find((each) => each.type === conditionType),
    ),
  });
  return sameJson(request(a), request(b));
}

/** The secrets that the pod's images may be pulled with; those that are not there are left out. */
export function pullSecrets(pod: Pod, objects: ReferencedObjects): Secret[] {
  const { namespace = "" } = pod.metadata;
  return (pod.spec?.imagePullSecrets ?? []).flatMap(({ name }) => objects.secret(namespace, name ?? "") ?? []);
}

/** Restarts that the API knows of when the runtime has lost a container's runs. */
export function knownRestarts(status: PodStatus, name: string): number {
  const all = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])];
  const known = all.find((each) => each.name === name);
  return known?.containerID === undefined ? 0 : known.restartCount + 1;
}
