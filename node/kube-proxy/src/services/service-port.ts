import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";

export type Protocol = "tcp" | "udp" | "sctp";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** On this node. */
  readonly isLocal: boolean;
}

/** One port of one Service, resolved to what packets need. */
export interface ServicePort {
  /** `NAMESPACE/NAME:PORTNAME`, or without `:PORTNAME` for the unnamed port. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly clusterIp: string;
  /** Addresses from outside: external IPs and those of the load balancer. */
  readonly externalIps: readonly string[];
  /** 0: none. */
  readonly nodePort: number;
  /** Seconds that a client stays with its endpoint; undefined: no affinity. */
  readonly affinitySeconds: number | undefined;
  /** Endpoints for traffic from within the cluster (`internalTrafficPolicy` applied). */
  readonly internal: readonly Endpoint[];
  /** Endpoints for traffic from outside (`externalTrafficPolicy` applied). */
  readonly external: readonly Endpoint[];
  /** Some endpoint exists somewhere: traffic without one here is dropped, not refused. */
  readonly hasAnyEndpoint: boolean;
  readonly keepsClientAddress: boolean;
  /** Those of `externalIps` that only some clients may use; undefined: all are for everybody. */
  readonly firewall: Firewall | undefined;
}

/** Addresses, and the blocks that clients' own must be of. */
export interface Firewall {
  readonly addresses: readonly string[];
  readonly sources: readonly string[];
}

/** A port that load balancers ask whether this node has endpoints of a service. */
export interface HealthCheckPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly localEndpoints: number;
}

const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";
const HEADLESS_LABEL = "service.kubernetes.io/headless";

interface Candidate extends Endpoint {
  readonly ready: boolean;
  readonly servesWhileTerminating: boolean;
}

/** Whether this proxy is responsible for the service. */
function isProxied(service: Service): boolean {
  const labels = service.metadata.labels ?? {};
  if (PROXY_NAME_LABEL in labels || HEADLESS_LABEL in labels) return false;
  const { clusterIP, type } = service.spec;
  return type !== "ExternalName" && clusterIP !== undefined && clusterIP !== "" && clusterIP !== "None";
}

/**
 * All ports of a service. `slices` are its EndpointSlices; addresses of another family than the service's cluster IP
 * are left out.
 */
export function servicePorts(service: Service, slices: readonly EndpointSlice[], nodeName: string): ServicePort[] {
  if (!isProxied(service)) return [];
  const { metadata, spec, status } = service;
  const { namespace = "", name = "" } = metadata;
  const clusterIp = spec.clusterIPs?.find((ip) => !ip.includes(":")) ?? spec.clusterIP ?? "";
  if (clusterIp.includes(":")) return [];
  const balancerIps = (status?.loadBalancer?.ingress ?? []).flatMap((ingress) =>
    ingress.ip === undefined || ingress.ip.includes(":") || ingress.ipMode === "Proxy" ? [] : [ingress.ip],
  );
  const sources = sourceRanges(service);
  const externalIps = [...new Set([...(spec.externalIPs ?? []), ...balancerIps])].filter((ip) => !ip.includes(":"));
  return (spec.ports ?? []).map((port) => {
    const all = candidates(slices, port.name ?? "", nodeName);
    const local = all.filter((endpoint) => endpoint.isLocal);
    const isInternalLocal = spec.internalTrafficPolicy === "Local";
    const isExternalLocal = spec.externalTrafficPolicy === "Local";
    return {
      id: port.name === undefined || port.name === "" ? `${namespace}/${name}` : `${namespace}/${name}:${port.name}`,
      namespace,
      name,
      protocol: (port.protocol ?? "TCP").toLowerCase() as Protocol,
      port: port.port,
      clusterIp,
      externalIps,
      nodePort: port.nodePort ?? 0,
      affinitySeconds:
        spec.sessionAffinity === "ClientIP"
          ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800)
          : undefined,
      internal: usable(isInternalLocal ? local : all),
      external: usable(isExternalLocal ? local : all),
      hasAnyEndpoint: usable(all).length > 0,
      keepsClientAddress: isExternalLocal,
      firewall: sources.length === 0 || balancerIps.length === 0 ? undefined : { addresses: balancerIps, sources },
    };
  });
}

const RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges";

/** The blocks that clients of the Service's balancer must be of, by its field or its older annotation; none: anybody may. */
function sourceRanges({ metadata, spec }: Service): readonly string[] {
  const field = spec.loadBalancerSourceRanges ?? [];
  const ranges = field.length > 0 ? field : (metadata.annotations?.[RANGES_ANNOTATION] ?? "").split(",");
  const own = ranges.map((range) => range.trim()).filter((range) => /^[\d.]+\/\d+$/.test(range));
  return own.some((range) => range.endsWith("/0")) ? [] : own;
}

/** The ready ones; when there are none, those that terminate but still serve (KEP-1669). */
function usable(endpoints: readonly Candidate[]): Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  const chosen = ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.servesWhileTerminating);
  return chosen
    .map(({ address, port, isLocal }) => ({ address, port, isLocal }))
    .sort((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1));
}

function candidates(slices: readonly EndpointSlice[], portName: string, nodeName: string): Candidate[] {
  const byKey = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== "IPv4") continue;
    const port = slice.ports?.find((p) => (p.name ?? "") === portName)?.port;
    if (port === undefined) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const address = endpoint.addresses[0];
      if (address === undefined) continue;
      const { ready, serving, terminating } = endpoint.conditions ?? {};
      const key = `${address}:${port}`;
      // The same address may stand in two slices while it moves from one to the other: the better condition counts.
      if (byKey.get(key)?.ready === true) continue;
      byKey.set(key, {
        address,
        port,
        isLocal: endpoint.nodeName === nodeName,
        ready: ready !== false,
        servesWhileTerminating: (serving ?? ready !== false) && terminating === true,
      });
    }
  }
  return [...byKey.values()];
}

/** The health-check port of a service that has one. */
export function healthCheckPort(
  service: Service,
  slices: readonly EndpointSlice[],
  nodeName: string,
): HealthCheckPort | undefined {
  const port = service.spec.healthCheckNodePort ?? 0;
  if (port === 0) return undefined;
  const local = new Set(
    slices.flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter((endpoint) => endpoint.nodeName === nodeName && endpoint.conditions?.ready !== false)
        .flatMap((endpoint) => endpoint.addresses.slice(0, 1)),
    ),
  );
  return {
    namespace: service.metadata.namespace ?? "",
    name: service.metadata.name ?? "",
    port,
    localEndpoints: local.size,
  };
}
