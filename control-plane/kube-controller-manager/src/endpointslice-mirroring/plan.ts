import { Endpoints, type EndpointAddress, type Service } from "@coracle/api/core/v1";
import type { Endpoint, EndpointPort, EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { controllerReference } from "@coracle/controller-kit";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/plan.ts";
import { hasSelector, TRIGGER_TIME } from "../services/service-pods.ts";
import { canonicalJson, safeHash } from "../templates/hash.ts";

export const MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io";
const SKIP = "endpointslice.kubernetes.io/skip-mirror";
const LEADER = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

export interface MirrorPlan {
  readonly create: readonly EndpointSlice[];
  readonly update: readonly EndpointSlice[];
  readonly delete: readonly EndpointSlice[];
}

/** Only what people wrote for services without selector: other endpoints have slices of their own, or are no endpoints. */
export function isMirrored(endpoints: Endpoints | undefined, service: Service | undefined): endpoints is Endpoints {
  if (endpoints === undefined || service === undefined || hasSelector(service)) return false;
  if (endpoints.metadata.deletionTimestamp !== undefined) return false;
  return endpoints.metadata.labels?.[SKIP] !== "true" && endpoints.metadata.annotations?.[LEADER] === undefined;
}

/** From the slices there are to those that say what the Endpoints say: one for each set of ports and family. */
export function planMirror(
  endpoints: Endpoints | undefined,
  service: Service | undefined,
  existing: readonly EndpointSlice[],
  maxPerSubset: number,
): MirrorPlan {
  const wanted = isMirrored(endpoints, service) ? slicesOf(endpoints, maxPerSubset) : [];
  const create: EndpointSlice[] = [];
  const update: EndpointSlice[] = [];
  const unused = new Set(existing);
  for (const slice of wanted) {
    const present = existing.find(({ metadata }) => metadata.name === slice.metadata.name);
    if (present === undefined) {
      create.push(slice);
      continue;
    }
    unused.delete(present);
    const { labels, annotations = {} } = present.metadata;
    const isSame =
      equalJson(present.endpoints ?? [], slice.endpoints) &&
      equalJson(labels, slice.metadata.labels) &&
      equalJson(annotations, slice.metadata.annotations ?? {});
    if (!isSame) update.push({ ...slice, metadata: { ...present.metadata, ...slice.metadata } });
  }
  return { create, update, delete: [...unused] };
}

function slicesOf(endpoints: Endpoints, maxPerSubset: number): readonly EndpointSlice[] {
  const groups = new Map<string, { addressType: string; ports: readonly EndpointPort[]; all: Map<string, Endpoint> }>();
  for (const { addresses = [], notReadyAddresses = [], ports: given = [] } of endpoints.subsets ?? []) {
    const ports: readonly EndpointPort[] = given.map(({ name = "", port, protocol = "TCP", appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol === undefined ? {} : { appProtocol }),
    }));
    let room = maxPerSubset;
    const add = (address: EndpointAddress, ready: boolean): void => {
      if (room-- <= 0) return;
      const addressType = address.ip.includes(":") ? "IPv6" : "IPv4";
      const key = canonicalJson([addressType, ports]);
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { addressType, ports, all: new Map() }));
      if (!group.all.has(address.ip)) group.all.set(address.ip, endpointOf(address, ready));
    };
    for (const address of addresses) add(address, true);
    for (const address of notReadyAddresses) add(address, false);
  }
  const { namespace, name = "", labels, annotations = {} } = endpoints.metadata;
  const { [TRIGGER_TIME]: _time, [LAST_APPLIED]: _applied, ...copied } = annotations;
  return [...groups].map(([key, { addressType, ports, all }]) => ({
    metadata: {
      generateName: `${name}-`,
      name: `${name.slice(0, 240)}-${safeHash(key, undefined)}`,
      namespace,
      labels: { ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MIRROR_MANAGER },
      ...(Object.keys(copied).length === 0 ? {} : { annotations: copied }),
      ownerReferences: [controllerReference(Endpoints, endpoints)],
    },
    addressType,
    ports,
    endpoints: [...all.values()],
  }));
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}
