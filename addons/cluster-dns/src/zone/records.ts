import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";

/** What the cluster's zone is answered from. */
export interface ZoneView {
  service(namespace: string, name: string): Service | undefined;
  servicesByIp(address: string): readonly Service[];
  endpointSlices(namespace: string, service: string): readonly EndpointSlice[];
  slicesByAddress(address: string): readonly EndpointSlice[];
  hasNamespace(name: string): boolean;
}

export type ZoneRecord =
  | { readonly name: string; readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly name: string; readonly type: "CNAME" | "PTR"; readonly target: string }
  | {
      readonly name: string;
      readonly type: "SRV";
      readonly target: string;
      readonly port: number;
      readonly weight: number;
    }
  | { readonly name: string; readonly type: "TXT"; readonly text: string }
  | { readonly name: string; readonly type: "NS"; readonly target: string };

/** The answer to one question about the zone. `exists` tells an empty answer (no such type) from an unknown name. */
export interface ZoneAnswer {
  readonly exists: boolean;
  readonly records: readonly ZoneRecord[];
  /** Records that spare the client a question: addresses of SRV targets. */
  readonly additional: readonly ZoneRecord[];
}

const UNKNOWN: ZoneAnswer = { exists: false, records: [], additional: [] };
const EMPTY: ZoneAnswer = { exists: true, records: [], additional: [] };
/** Version of the DNS specification (`dns-version.ZONE`). */
const SPEC_VERSION = "1.1.0";

interface Endpoint {
  readonly address: string;
  /** First label of the endpoint's own name. */
  readonly label: string;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

const isV6 = (address: string): boolean => address.includes(":");
const dashed = (address: string): string => address.replace(/[.:]/g, "-");
const addressRecord = (name: string, address: string): ZoneRecord => ({
  name,
  type: isV6(address) ? "AAAA" : "A",
  address,
});
const answer = (records: readonly ZoneRecord[], additional: readonly ZoneRecord[] = []): ZoneAnswer => ({
  exists: true,
  records,
  additional,
});

/** Keeps the records a question of this type asks for; a CNAME answers every type. */
function ofType(found: ZoneAnswer, type: string): ZoneAnswer {
  if (type === "ANY") return found;
  const records = found.records.filter((record) => record.type === type || record.type === "CNAME");
  return { ...found, records, additional: records.length === 0 ? [] : found.additional };
}

/**
 * Answers for a name below the cluster's zone (`zone` as in "cluster.local"), after the Kubernetes DNS
 * specification: services, headless endpoints, named ports, pods by address, external names.
 * `name` is lower-case, without the last dot.
 */
export function answerInZone(view: ZoneView, zone: string, name: string, type: string): ZoneAnswer {
  if (name === zone) return ofType(answer([{ name, type: "NS", target: `ns.dns.${zone}` }]), type);
  const labels = name.slice(0, -zone.length - 1).split(".");
  const kind = labels.at(-1);
  if (labels.length === 1 && kind === "dns-version")
    return ofType(answer([{ name, type: "TXT", text: SPEC_VERSION }]), type);
  if (kind === "svc") return ofType(serviceAnswer(view, zone, name, labels.slice(0, -1)), type);
  if (kind === "pod") return ofType(podAnswer(view, name, labels.slice(0, -1)), type);
  return UNKNOWN;
}

/** `a-b-c-d.NAMESPACE.pod`: any address, as long as the namespace exists. */
function podAnswer(view: ZoneView, name: string, labels: readonly string[]): ZoneAnswer {
  if (labels.length === 0) return EMPTY;
  const namespace = labels.at(-1) ?? "";
  if (!view.hasNamespace(namespace)) return UNKNOWN;
  if (labels.length === 1) return EMPTY;
  if (labels.length > 2) return UNKNOWN;
  const address = undashed(labels[0] ?? "");
  return address === undefined ? UNKNOWN : answer([addressRecord(name, address)]);
}

function undashed(label: string): string | undefined {
  const parts = label.split("-");
  if (parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return parts.map(Number).join(".");
  if (/^[0-9a-f-]+$/.test(label) && parts.length >= 3 && parts.every((part) => part.length <= 4))
    return label.replaceAll("-", ":");
  return undefined;
}

function serviceAnswer(view: ZoneView, zone: string, name: string, labels: readonly string[]): ZoneAnswer {
  if (labels.length === 0) return EMPTY;
  const namespace = labels.at(-1) ?? "";
  if (labels.length === 1) return view.hasNamespace(namespace) ? EMPTY : UNKNOWN;
  const service = view.service(namespace, labels.at(-2) ?? "");
  if (service === undefined) return UNKNOWN;
  const base = `${service.metadata.name}.${namespace}.svc.${zone}`;
  const front = labels.slice(0, -2);
  if (service.spec.type === "ExternalName") {
    return front.length === 0 ? answer([{ name, type: "CNAME", target: service.spec.externalName ?? "" }]) : UNKNOWN;
  }
  const isHeadless = service.spec.clusterIP === "None";
  const addresses = service.spec.clusterIPs ?? (service.spec.clusterIP === undefined ? [] : [service.spec.clusterIP]);
  if (!isHeadless && addresses.length === 0) return UNKNOWN;

  if (front.length === 0) {
    if (!isHeadless)
      return answer([...addresses.map((address) => addressRecord(name, address)), ...portRecords(service, base, name)]);
    const endpoints = endpointsOf(view, namespace, service.metadata.name ?? "");
    // A headless service without ready endpoints has no name (specification, 2.4.1).
    if (endpoints.length === 0) return UNKNOWN;
    const unique = [...new Set(endpoints.map((endpoint) => endpoint.address))];
    return answer(unique.map((address) => addressRecord(name, address)));
  }
  const [first = "", second] = front;
  if (front.length === 2 && first.startsWith("_") && second?.startsWith("_")) {
    return portAnswer(view, service, namespace, base, name, first.slice(1), second.slice(1), isHeadless);
  }
  if (front.length === 1 && isHeadless) {
    const matching = endpointsOf(view, namespace, service.metadata.name ?? "").filter(
      (endpoint) => endpoint.label === first,
    );
    if (matching.length === 0) return UNKNOWN;
    return answer(
      [...new Set(matching.map((endpoint) => endpoint.address))].map((address) => addressRecord(name, address)),
    );
  }
  return UNKNOWN;
}

/** SRV records at the service's own name, one a named port: a convenience of CoreDNS that clients came to use. */
function portRecords(service: Service, base: string, name: string): ZoneRecord[] {
  return (service.spec.ports ?? []).map((port) => ({ name, type: "SRV", target: base, port: port.port, weight: 100 }));
}

function portAnswer(
  view: ZoneView,
  service: Service,
  namespace: string,
  base: string,
  name: string,
  portName: string,
  protocol: string,
  isHeadless: boolean,
): ZoneAnswer {
  if (!isHeadless) {
    const port = service.spec.ports?.find(
      (p) => p.name?.toLowerCase() === portName && (p.protocol ?? "TCP").toLowerCase() === protocol,
    );
    if (port === undefined) return UNKNOWN;
    const addresses = service.spec.clusterIPs ?? [service.spec.clusterIP ?? ""];
    return answer(
      [{ name, type: "SRV", target: base, port: port.port, weight: 100 }],
      addresses.map((address) => addressRecord(base, address)),
    );
  }
  const records: ZoneRecord[] = [];
  const additional: ZoneRecord[] = [];
  const endpoints = endpointsOf(view, namespace, service.metadata.name ?? "");
  for (const endpoint of endpoints) {
    for (const port of endpoint.ports) {
      if (port.name.toLowerCase() !== portName || port.protocol.toLowerCase() !== protocol) continue;
      const target = `${endpoint.label}.${base}`;
      records.push({ name, type: "SRV", target, port: port.port, weight: 0 });
      additional.push(addressRecord(target, endpoint.address));
    }
  }
  if (records.length === 0) return UNKNOWN;
  const weight = Math.max(1, Math.floor(100 / records.length));
  return answer(
    records.map((record) => (record.type === "SRV" ? { ...record, weight } : record)),
    additional,
  );
}

function endpointsOf(view: ZoneView, namespace: string, service: string): Endpoint[] {
  return view.endpointSlices(namespace, service).flatMap((slice) =>
    (slice.endpoints ?? []).flatMap((endpoint) => {
      // The condition already covers publishNotReadyAddresses; unset counts as ready.
      if (endpoint.conditions?.ready === false) return [];
      const ports = (slice.ports ?? []).flatMap((port) =>
        port.port === undefined ? [] : [{ name: port.name ?? "", protocol: port.protocol ?? "TCP", port: port.port }],
      );
      return endpoint.addresses.map((address) => ({
        address,
        label: (endpoint.hostname ?? dashed(address)).toLowerCase(),
        ports,
      }));
    }),
  );
}

/** Names of an address: the service it is the cluster IP of, or the endpoints that have a name. Empty: not ours. */
export function answerForAddress(
  view: ZoneView,
  zone: string,
  question: string,
  address: string,
): readonly ZoneRecord[] {
  const services = view.servicesByIp(address).map((service): ZoneRecord => ({
    name: question,
    type: "PTR",
    target: `${service.metadata.name}.${service.metadata.namespace}.svc.${zone}`,
  }));
  if (services.length > 0) return services;
  return view.slicesByAddress(address).flatMap((slice) => {
    const service = slice.metadata.labels?.["kubernetes.io/service-name"];
    if (service === undefined) return [];
    return (slice.endpoints ?? [])
      .filter((endpoint) => endpoint.addresses.includes(address))
      .map((endpoint): ZoneRecord => ({
        name: question,
        type: "PTR",
        target: `${endpoint.hostname ?? dashed(address)}.${service}.${slice.metadata.namespace}.svc.${zone}`,
      }));
  });
}

/** The address that a reverse name asks for; undefined when it is no whole address. */
export function addressOfReverseName(name: string): string | undefined {
  if (name.endsWith(".in-addr.arpa")) {
    const parts = name.slice(0, -".in-addr.arpa".length).split(".").reverse();
    return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part)) ? parts.join(".") : undefined;
  }
  if (name.endsWith(".ip6.arpa")) {
    const nibbles = name.slice(0, -".ip6.arpa".length).split(".").reverse().join("");
    if (!/^[0-9a-f]{32}$/.test(nibbles)) return undefined;
    return nibbles.replace(/(.{4})(?=.)/g, "$1:").replace(/\b0{1,3}(?=[0-9a-f])/g, "");
  }
  return undefined;
}
