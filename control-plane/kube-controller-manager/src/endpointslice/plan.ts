import type { Node, Pod, Service } from "@coracle/api/core/v1";
import { Service as ServiceType } from "@coracle/api/core/v1";
import type { Endpoint, EndpointPort, EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { controllerReference } from "@coracle/controller-kit";
import { isFinished, isReady } from "../pods/pod-state.ts";
import { HEADLESS_LABEL, hostnameIn, isHeadless, targetPortIn, TRIGGER_TIME } from "../services/service-pods.ts";
import { canonicalJson } from "../templates/hash.ts";

export const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";
export const MANAGER = "endpointslice-controller.k8s.io";
export const SERVICE_NAME = "kubernetes.io/service-name";

export interface SlicePlan {
  readonly create: readonly EndpointSlice[];
  readonly update: readonly EndpointSlice[];
  readonly delete: readonly EndpointSlice[];
}

interface Group {
  readonly addressType: string;
  readonly ports: readonly EndpointPort[];
  /** By what makes an endpoint the same one: its address and pod. */
  readonly endpoints: Map<string, Endpoint>;
}

/**
 * Fewest writes from the slices there are to the endpoints there should be: endpoints stay where they are, gaps are
 * filled first in slices that are written anyway, and no slice holds more than `maxPerSlice`.
 */
export function planSlices(
  service: Service,
  pods: readonly Pod[],
  existing: readonly EndpointSlice[],
  nodeOf: (name: string) => Node | undefined,
  maxPerSlice: number,
  changedAt: string | undefined,
): SlicePlan {
  const groups = desiredGroups(service, pods, nodeOf);
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const unused = new Set(existing);

  for (const group of groups) {
    const portsKey = canonicalJson(group.ports);
    const slices = existing.filter(
      (slice) => slice.addressType === group.addressType && canonicalJson(portsOf(slice)) === portsKey,
    );
    const missing = new Map(group.endpoints);
    const kept = new Map<EndpointSlice, Endpoint[]>();
    for (const slice of slices) {
      const endpoints: Endpoint[] = [];
      for (const endpoint of slice.endpoints ?? []) {
        const id = identityOf(endpoint);
        const wanted = missing.get(id);
        if (wanted === undefined) continue;
        endpoints.push(wanted);
        missing.delete(id);
      }
      kept.set(slice, endpoints);
    }
    const rest = [...missing.values()];
    const isDirty = (slice: EndpointSlice): boolean =>
      !equalJson(kept.get(slice), slice.endpoints ?? []) || !sameLabels(service, slice);
    for (const slice of [...slices.filter(isDirty), ...slices.filter((each) => !isDirty(each))]) {
      const endpoints = kept.get(slice) ?? [];
      const isPlaceholder = group.endpoints.size === 0 && slice === slices[0];
      if (endpoints.length === 0 && rest.length === 0 && !isPlaceholder) continue; // left unused: deleted below
      const room = maxPerSlice - endpoints.length;
      if (isDirty(slice) || room >= rest.length) endpoints.push(...rest.splice(0, Math.max(0, room)));
      unused.delete(slice);
      if (isDirty(slice)) update.push(refresh(service, slice, endpoints, changedAt));
    }
    while (rest.length > 0) create.push(newSlice(service, group, rest.splice(0, maxPerSlice), changedAt));
    // A service without pods still shows one empty slice, so that readers can tell it from one not seen yet.
    if (group.endpoints.size === 0 && slices.length === 0) create.push(newSlice(service, group, [], changedAt));
  }
  return { create, update, delete: [...unused] };
}

const portsOf = (slice: EndpointSlice): readonly EndpointPort[] => slice.ports ?? [];
const identityOf = (endpoint: Endpoint): string => `${endpoint.addresses[0]} ${endpoint.targetRef?.uid ?? ""}`;

function desiredGroups(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
): readonly Group[] {
  const families = service.spec?.ipFamilies ?? ["IPv4"];
  const all: Group[] = [];
  for (const addressType of families) {
    const groups = new Map<string, Group>();
    for (const pod of pods) {
      if (isFinished(pod)) continue;
      const address = addressOf(pod, addressType);
      if (address === undefined) continue;
      const ports = portsIn(service, pod);
      const key = canonicalJson(ports);
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { addressType, ports, endpoints: new Map() }));
      const endpoint = endpointOf(service, pod, address, nodeOf);
      group.endpoints.set(identityOf(endpoint), endpoint);
    }
    if (groups.size === 0) all.push({ addressType, ports: [], endpoints: new Map() });
    all.push(...groups.values());
  }
  return all;
}

function addressOf(pod: Pod, addressType: string): string | undefined {
  const addresses = pod.status?.podIPs?.map((each) => each.ip) ?? [pod.status?.podIP];
  return addresses.find(
    (address) => address !== undefined && address !== "" && address.includes(":") === (addressType === "IPv6"),
  );
}

function portsIn(service: Service, pod: Pod): readonly EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const port of service.spec?.ports ?? []) {
    const number = targetPortIn(pod, port);
    if (number === undefined) continue;
    const { name = "", protocol = "TCP", appProtocol } = port;
    ports.push({ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return ports;
}

function endpointOf(service: Service, pod: Pod, address: string, nodeOf: (name: string) => Node | undefined): Endpoint {
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const { nodeName } = pod.spec;
  const zone = nodeName === undefined ? undefined : nodeOf(nodeName)?.metadata.labels?.["topology.kubernetes.io/zone"];
  const hostname = hostnameIn(pod, service);
  const { namespace, name, uid } = pod.metadata;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(hostname === undefined ? {} : { hostname }),
    targetRef: { kind: "Pod", namespace, name, uid },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
  };
}

/** The service's own labels, and those by which readers find its slices. */
function labelsFor(service: Service): Readonly<Record<string, string>> {
  const { [HEADLESS_LABEL]: _h, [SERVICE_NAME]: _s, [MANAGED_BY]: _m, ...labels } = service.metadata.labels ?? {};
  return {
    ...labels,
    ...(isHeadless(service) ? { [HEADLESS_LABEL]: "" } : {}),
    [SERVICE_NAME]: service.metadata.name ?? "",
    [MANAGED_BY]: MANAGER,
  };
}

function sameLabels(service: Service, slice: EndpointSlice): boolean {
  return equalJson(labelsFor(service), slice.metadata.labels ?? {});
}

function annotationsFor(
  present: Readonly<Record<string, string>> | undefined,
  changedAt: string | undefined,
): Readonly<Record<string, string>> {
  return changedAt === undefined ? { ...present } : { ...present, [TRIGGER_TIME]: changedAt };
}

function refresh(
  service: Service,
  slice: EndpointSlice,
  endpoints: readonly Endpoint[],
  changedAt: string | undefined,
): EndpointSlice {
  const annotations = annotationsFor(slice.metadata.annotations, changedAt);
  return { ...slice, metadata: { ...slice.metadata, labels: labelsFor(service), annotations }, endpoints };
}

function newSlice(
  service: Service,
  group: Group,
  endpoints: readonly Endpoint[],
  changedAt: string | undefined,
): EndpointSlice {
  const { name = "", namespace } = service.metadata;
  return {
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: labelsFor(service),
      annotations: annotationsFor(undefined, changedAt),
      ownerReferences: [controllerReference(ServiceType, service)],
    },
    addressType: group.addressType,
    endpoints,
    ports: group.ports,
  };
}
