import type { Node, Pod, Service } from "@coracle/api/core/v1";
import { Service as ServiceType } from "@coracle/api/core/v1";
import type { Endpoint, EndpointPort, EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { controllerReference } from "@coracle/controller-kit";
import { isFinished, isReady } from "../pods/pod-state.ts";
import { HEADLESS_LABEL, hostnameIn, isHeadless, TRIGGER_TIME } from "../services/service-pods.ts";
import { canonicalJson } from "../templates/hash.ts";
import { EndpointMemory, keptEndpoint } from "./endpoint-memory.ts";

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
  readonly endpoints: Endpoint[];
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
  memory: EndpointMemory = new EndpointMemory(),
): SlicePlan {
  const groups = desiredGroups(service, pods, nodeOf, memory);
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const unused = new Set(existing);

  for (const group of groups) {
    const portsKey = canonicalJson(group.ports);
    const slices = existing.filter(
      (slice) =>
        slice.addressType === group.addressType &&
        isOwnedBy(slice, service) &&
        canonicalJson(portsOf(slice)) === portsKey,
    );
    const { kept, changed, missing: rest } = keepEndpoints(slices, group.endpoints, memory);
    const dirty = new Set(slices.filter((slice) => changed.has(slice) || !sameLabels(service, slice)));
    // Slices that are written anyway first, and of the others the fullest that has room for all.
    const byLength = slices.toSorted((a, b) => (kept.get(b)?.length ?? 0) - (kept.get(a)?.length ?? 0));
    for (const slice of [
      ...byLength.filter((each) => dirty.has(each)),
      ...byLength.filter((each) => !dirty.has(each)),
    ]) {
      const endpoints = kept.get(slice) ?? [];
      const isPlaceholder = group.endpoints.length === 0 && slice === slices[0];
      if (endpoints.length === 0 && rest.length === 0 && !isPlaceholder) continue; // left unused: deleted below
      const room = maxPerSlice - endpoints.length;
      if (rest.length > 0 && room > 0 && (dirty.has(slice) || room >= rest.length)) {
        endpoints.push(...rest.splice(0, room));
        dirty.add(slice);
      }
      unused.delete(slice);
      if (dirty.has(slice)) update.push(refresh(service, slice, endpoints, changedAt));
    }
    while (rest.length > 0) create.push(newSlice(service, group, rest.splice(0, maxPerSlice), changedAt));
    // A service without pods still shows one empty slice, so that readers can tell it from one not seen yet.
    if (group.endpoints.length === 0 && slices.length === 0) create.push(newSlice(service, group, [], changedAt));
  }
  return reuse({ create, update, delete: [...unused] }, service);
}

/** A slice that would go becomes one that would be made: one write less, and watchers keep what they know by its name. */
function reuse(plan: SlicePlan, service: Service): SlicePlan {
  const create: EndpointSlice[] = [];
  const update = [...plan.update];
  const remove = new Set(plan.delete);
  for (const slice of plan.create) {
    const spare = [...remove].find((each) => each.addressType === slice.addressType && isOwnedBy(each, service));
    if (spare === undefined) {
      create.push(slice);
      continue;
    }
    remove.delete(spare);
    const { labels, annotations } = slice.metadata;
    update.push({ ...slice, metadata: { ...spare.metadata, labels, annotations } });
  }
  return { create, update, delete: [...remove] };
}

const isOwnedBy = ({ metadata }: EndpointSlice, service: Service): boolean =>
  service.metadata.uid === undefined ||
  (metadata.ownerReferences ?? []).some((each) => each.uid === service.metadata.uid);

/** Pods that cannot be shown yet because their nodes are not known. */
export function podsOfUnknownNodes(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
): readonly Pod[] {
  if (service.spec?.publishNotReadyAddresses === true) return [];
  return pods.filter(
    (pod) => pod.spec.nodeName !== undefined && !isFinished(pod) && nodeOf(pod.spec.nodeName) === undefined,
  );
}

interface Kept {
  /** What stays in each slice, as it should be now. */
  readonly kept: ReadonlyMap<EndpointSlice, Endpoint[]>;
  /** Slices in which something is not as it should be. */
  readonly changed: ReadonlySet<EndpointSlice>;
  /** What is in no slice yet. */
  readonly missing: Endpoint[];
}

/** Finds the wanted endpoints in the slices: those seen to be the same before at once, the others by their identity. */
function keepEndpoints(slices: readonly EndpointSlice[], wanted: readonly Endpoint[], memory: EndpointMemory): Kept {
  const missing = new Set(wanted);
  const known = new Map<EndpointSlice, readonly (Endpoint | undefined)[]>();
  for (const slice of slices) {
    const take = (seen: Endpoint): Endpoint | undefined => {
      const same = memory.sameAs(seen);
      return same !== undefined && missing.delete(same) ? same : undefined;
    };
    known.set(slice, (slice.endpoints ?? []).map(take));
  }
  const kept = new Map<EndpointSlice, Endpoint[]>();
  const changed = new Set<EndpointSlice>();
  let byIdentity: ReadonlyMap<string, Endpoint> | undefined;
  for (const [slice, endpoints] of known) {
    if (!endpoints.includes(undefined)) {
      kept.set(slice, endpoints as Endpoint[]);
      continue;
    }
    const here: Endpoint[] = [];
    for (const [i, seen] of (slice.endpoints ?? []).entries()) {
      let endpoint = endpoints[i];
      if (endpoint === undefined) {
        byIdentity ??= new Map([...missing].map((each) => [identityOf(each), each]));
        endpoint = byIdentity.get(identityOf(seen));
        const isThere = endpoint !== undefined && missing.delete(endpoint);
        if (endpoint === undefined || !isThere || !memory.isSame(seen, endpoint)) changed.add(slice);
        if (endpoint === undefined || !isThere) continue;
      }
      here.push(endpoint);
    }
    kept.set(slice, here);
  }
  return { kept, changed, missing: [...missing] };
}

const portsOf = (slice: EndpointSlice): readonly EndpointPort[] => slice.ports ?? [];
/** What makes an endpoint the same one: its address and pod. */
const identityOf = (endpoint: Endpoint): string => `${endpoint.addresses[0]} ${endpoint.targetRef?.uid ?? ""}`;

function desiredGroups(
  service: Service,
  pods: readonly Pod[],
  nodeOf: (name: string) => Node | undefined,
  memory: EndpointMemory,
): readonly Group[] {
  const families = service.spec?.ipFamilies ?? ["IPv4"];
  const showsAll = service.spec?.publishNotReadyAddresses === true;
  const all: Group[] = [];
  for (const addressType of families) {
    const groups = new Map<string, Group>();
    const known = memory.of(service, addressType);
    const make = (pod: Pod, node: Node | undefined): Endpoint | undefined => {
      if (isFinished(pod) || (pod.spec.nodeName !== undefined && node === undefined && !showsAll)) return undefined;
      const address = addressOf(pod, addressType);
      const zone = node?.metadata.labels?.["topology.kubernetes.io/zone"];
      return address === undefined ? undefined : endpointOf(service, pod, address, zone);
    };
    for (const pod of pods) {
      const { nodeName } = pod.spec;
      const kept = keptEndpoint(known, service, pod, nodeName === undefined ? undefined : nodeOf(nodeName), make);
      if (kept === undefined) continue;
      const { endpoint, numbers, portsKey } = kept;
      let group = groups.get(portsKey);
      if (group === undefined)
        groups.set(portsKey, (group = { addressType, ports: portsIn(service, numbers), endpoints: [] }));
      group.endpoints.push(endpoint);
    }
    if (groups.size === 0) all.push({ addressType, ports: [], endpoints: [] });
    all.push(...groups.values());
  }
  return all;
}

function addressOf({ status }: Pod, addressType: string): string | undefined {
  for (const { ip } of status?.podIPs ?? []) if (isOfFamily(ip, addressType)) return ip;
  return status?.podIPs === undefined && isOfFamily(status?.podIP, addressType) ? status?.podIP : undefined;
}

const isOfFamily = (address: string | undefined, addressType: string): boolean =>
  address !== undefined && address !== "" && address.includes(":") === (addressType === "IPv6");

function portsIn(service: Service, numbers: readonly (number | undefined)[]): readonly EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const [i, port] of (service.spec?.ports ?? []).entries()) {
    const number = numbers[i];
    if (number === undefined) continue;
    const { name = "", protocol = "TCP", appProtocol } = port;
    ports.push({ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return ports;
}

function endpointOf(service: Service, pod: Pod, address: string, zone: string | undefined): Endpoint {
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const { nodeName } = pod.spec;
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
  const { [TRIGGER_TIME]: _, ...others } = present ?? {};
  return changedAt === undefined ? others : { ...others, [TRIGGER_TIME]: changedAt };
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
