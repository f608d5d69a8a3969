import type { LoadBalancerIngress, Node, Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { familyOf, firstFree, holdsAddress, type AddressRange, type Family } from "../addresses/ranges.ts";
import { internalAddresses } from "./machines.ts";

/** Whether only nodes with endpoints of their own may get the Service's traffic. */
export const isLocalOnly = (service: Service): boolean => service.spec?.externalTrafficPolicy === "Local";

/** The families of addresses that the Service has, the first one first. */
export const familiesOf = ({ spec }: Service): readonly Family[] => {
  const { ipFamilies = [] } = spec ?? {};
  return ipFamilies.length === 0 ? [4] : ipFamilies.map((family) => (family === "IPv6" ? 6 : 4));
};

const ofFamily = (pool: readonly AddressRange[], family: Family): readonly AddressRange[] =>
  pool.filter((range) => range.family === family);

/** The addresses of `pool` that the Service's status says it has. */
export const statusAddresses = (service: Service, pool: readonly AddressRange[]): readonly string[] =>
  (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) =>
    ip !== undefined && holdsAddress(pool, ip) ? [ip] : [],
  );

/**
 * The addresses of a Service, one for each of its families that the pool has: what it asks for, what it has (`made`, or by
 * its status), or the first that is free. `taken` says who else has an address. Throws when there is none for it.
 */
export function chooseAddresses(
  service: Service,
  pool: readonly AddressRange[],
  taken: ReadonlyMap<string, string>,
  made: readonly string[] = [],
): readonly string[] {
  const asked = service.spec?.loadBalancerIP ?? "";
  if (asked !== "" && !holdsAddress(pool, asked)) throw new Error(`the address ${asked} is not in the pool`);
  const holder = taken.get(asked);
  if (holder !== undefined) throw new Error(`the address ${asked} belongs to service ${holder}`);
  const chosen = familiesOf(service).flatMap((family) => {
    const ranges = ofFamily(pool, family);
    if (ranges.length === 0) return [];
    if (holdsAddress(ranges, asked)) return [asked];
    const current = [...made, ...statusAddresses(service, pool)].find((address) => holdsAddress(ranges, address));
    if (current !== undefined && !taken.has(current)) return [current];
    const free = firstFree(ranges, (address) => taken.has(address));
    if (free === undefined) throw new Error("no address of the pool is free");
    return [free];
  });
  if (chosen.length === 0)
    throw new Error(
      `the pool has no addresses of the service's families (${familiesOf(service)
        .map((family) => `IPv${family}`)
        .join(", ")})`,
    );
  return chosen;
}

/** Names of nodes that have an endpoint of the Service that serves. */
export function nodesWithEndpoints(slices: readonly EndpointSlice[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { endpoints } of slices)
    for (const { nodeName, conditions } of endpoints ?? [])
      if (nodeName !== undefined && conditions?.ready !== false) names.add(nodeName);
  return names;
}

/** Whether the node says that it works. */
export const isReady = (node: Node): boolean =>
  node.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";

/** A node that could have an address on its link. */
export interface Candidate {
  readonly name: string;
  readonly isReady: boolean;
  readonly hasEndpoints: boolean;
  /** How many addresses it has of other Services. */
  readonly load: number;
}

/**
 * The node that gets a Service's address: one that can serve; where it is already before elsewhere; then where the fewest
 * are. Undefined: there is no node.
 */
export function chooseNode(
  candidates: readonly Candidate[],
  current: string | undefined,
  needsEndpoints: boolean,
): string | undefined {
  const rank = (each: Candidate): readonly number[] => [
    each.isReady ? 0 : 1,
    needsEndpoints && !each.hasEndpoints ? 1 : 0,
    each.name === current ? 0 : 1,
    each.load,
  ];
  const [best] = candidates
    .map((each) => ({ name: each.name, rank: rank(each) }))
    .toSorted((a, b) => {
      const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
      if (at !== -1) return (a.rank[at] ?? 0) - (b.rank[at] ?? 0);
      return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
    });
  return best?.name;
}

/** Without a pool: where the Service is reached at the nodes themselves. Throws when it has no ports there. */
export function nodePortIngress(
  service: Service,
  nodes: readonly Node[],
  withEndpoints: ReadonlySet<string>,
): LoadBalancerIngress[] {
  const ports = (service.spec?.ports ?? []).map(({ nodePort = 0, protocol = "TCP" }) => ({ port: nodePort, protocol }));
  if (ports.some(({ port }) => port === 0))
    throw new Error("there is no pool of addresses, and the service has no node ports");
  return (
    nodes
      .filter((node) => isReady(node) && (!isLocalOnly(service) || withEndpoints.has(node.metadata.name ?? "")))
      .flatMap((node) => {
        const own = internalAddresses(node);
        return familiesOf(service).flatMap((family) => own.find((address) => familyOf(address) === family) ?? []);
      })
      .toSorted()
      // The node's other ports are not the Service's: packets for this address are not to be caught before they are there.
      .map((ip) => ({ ip, ipMode: "Proxy", ports }))
  );
}
