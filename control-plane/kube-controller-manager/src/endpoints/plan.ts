import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Pod, Service } from "@coracle/api/core/v1";
import { equalJson } from "@coracle/apimachinery";
import { isFinished, isReady } from "../pods/pod-state.ts";
import { HEADLESS_LABEL, hostnameIn, isHeadless, targetPortsIn, TRIGGER_TIME } from "../services/service-pods.ts";
import { canonicalJson } from "../templates/hash.ts";

const MANAGED_BY = "endpoints.kubernetes.io/managed-by";
const OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity";
const MAX_ADDRESSES = 1000;

interface Subset {
  readonly ports: readonly EndpointPort[];
  readonly ready: EndpointAddress[];
  readonly notReady: EndpointAddress[];
}

/** The service's Endpoints as they should be; undefined when `present` is that already. */
export function planEndpoints(
  service: Service,
  pods: readonly Pod[],
  present: Endpoints | undefined,
  changedAt: string | undefined,
): Endpoints | undefined {
  const { subsets, isTruncated } = truncated(subsetsOf(service, pods));
  const labels: Record<string, string> = {
    ...service.metadata.labels,
    ...(isHeadless(service) ? { [HEADLESS_LABEL]: "" } : {}),
    [MANAGED_BY]: "endpoint-controller",
  };
  if (!isHeadless(service)) delete labels[HEADLESS_LABEL];
  const { [OVER_CAPACITY]: wasTruncated, [TRIGGER_TIME]: _, ...annotations } = present?.metadata.annotations ?? {};
  const isSame =
    present !== undefined &&
    equalJson(present.subsets ?? [], subsets) &&
    equalJson(present.metadata.labels ?? {}, labels) &&
    (wasTruncated === "truncated") === isTruncated;
  if (isSame) return undefined;
  return {
    ...present,
    metadata: {
      ...(present?.metadata ?? { name: service.metadata.name, namespace: service.metadata.namespace }),
      labels,
      annotations: {
        ...annotations,
        ...(changedAt === undefined ? {} : { [TRIGGER_TIME]: changedAt }),
        ...(isTruncated ? { [OVER_CAPACITY]: "truncated" } : {}),
      },
    },
    subsets,
  };
}

function subsetsOf(service: Service, pods: readonly Pod[]): readonly Subset[] {
  const publishNotReady = service.spec?.publishNotReadyAddresses === true;
  const isIpv6 = service.spec?.ipFamilies?.[0] === "IPv6";
  const subsets = new Map<string, Subset>();
  for (const pod of pods) {
    if (isFinished(pod) || (pod.metadata.deletionTimestamp !== undefined && !publishNotReady)) continue;
    const ips = pod.status?.podIPs?.map((each) => each.ip) ?? [pod.status?.podIP];
    const ip = ips.find((each) => each !== undefined && each !== "" && each.includes(":") === isIpv6);
    if (ip === undefined) continue;
    const numbers = targetPortsIn(pod, service);
    if (numbers.length > 0 && numbers.every((number) => number === undefined)) continue;
    const key = numbers.join();
    let subset = subsets.get(key);
    if (subset === undefined)
      subsets.set(key, (subset = { ports: portsIn(service, numbers), ready: [], notReady: [] }));
    const hostname = hostnameIn(pod, service);
    const { namespace, name, uid } = pod.metadata;
    const address: EndpointAddress = {
      ip,
      ...(hostname === undefined ? {} : { hostname }),
      ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
      targetRef: { kind: "Pod", namespace, name, uid },
    };
    (publishNotReady || isReady(pod) ? subset.ready : subset.notReady).push(address);
  }
  return repacked([...subsets.values()])
    .map((subset) => [canonicalJson(subset.ports), subset] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, subset]) => subset);
}

/** A subset for all ports that the same pods offer: a pod may be in several. Pods that offer the same come together. */
function repacked(groups: readonly Subset[]): readonly Subset[] {
  if (groups.length <= 1) return groups;
  const offers = new Map<string, { readonly port: EndpointPort; readonly by: Subset[] }>();
  for (const group of groups)
    for (const port of group.ports) {
      const key = canonicalJson(port);
      const known = offers.get(key);
      if (known === undefined) offers.set(key, { port, by: [group] });
      else known.by.push(group);
    }
  const subsets = new Map<string, { readonly ports: EndpointPort[]; readonly by: readonly Subset[] }>();
  for (const { port, by } of offers.values()) {
    const key = by.map((group) => groups.indexOf(group)).join();
    const known = subsets.get(key);
    if (known === undefined) subsets.set(key, { ports: [port], by });
    else known.ports.push(port);
  }
  return [...subsets.values()].map(({ ports, by }) => ({
    ports,
    ready: by.flatMap((group) => group.ready),
    notReady: by.flatMap((group) => group.notReady),
  }));
}

function portsIn(service: Service, numbers: readonly (number | undefined)[]): readonly EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const [i, { name, protocol = "TCP", appProtocol }] of (service.spec?.ports ?? []).entries()) {
    const port = numbers[i];
    if (port === undefined) continue;
    const named = name === undefined || name === "" ? {} : { name };
    ports.push({ ...named, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) });
  }
  return ports;
}

/** In a fixed order, so that equal endpoints are equal data; with a thousand addresses at most, ready ones first. */
function truncated(all: readonly Subset[]): {
  readonly subsets: readonly EndpointSubset[];
  readonly isTruncated: boolean;
} {
  const byAddress = (a: EndpointAddress, b: EndpointAddress): number =>
    a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : (a.targetRef?.uid ?? "") < (b.targetRef?.uid ?? "") ? -1 : 1;
  let room = MAX_ADDRESSES;
  let isTruncated = false;
  const take = (addresses: readonly EndpointAddress[]): readonly EndpointAddress[] => {
    const taken = addresses.toSorted(byAddress).slice(0, room);
    isTruncated ||= taken.length < addresses.length;
    room -= taken.length;
    return taken;
  };
  const ready = all.map((subset) => take(subset.ready));
  const notReady = all.map((subset) => take(subset.notReady));
  const subsets = all
    .map((subset, i): EndpointSubset => {
      const [addresses = [], notReadyAddresses = []] = [ready[i], notReady[i]];
      return {
        ...(addresses.length === 0 ? {} : { addresses }),
        ...(notReadyAddresses.length === 0 ? {} : { notReadyAddresses }),
        ...(subset.ports.length === 0 ? {} : { ports: subset.ports }),
      };
    })
    .filter((subset) => subset.addresses !== undefined || subset.notReadyAddresses !== undefined);
  return { subsets, isTruncated };
}
