import { serviceUnavailable, statusError } from "@coracle/apimachinery";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { Random } from "@coracle/base";
import type { RegistryReader } from "../registry/registry-reader.ts";

/** An address to connect to. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Finds where a Service's port is reached. Throws an error with upstream's text. */
export type ServiceResolver = (namespace: string, name: string, port: number) => Promise<Address>;

const SERVICES = { group: "", version: "v1", plural: "services" };
const SLICES = { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" };
const ROUTABLE: ReadonlySet<string> = new Set(["ClusterIP", "NodePort", "LoadBalancer"]);

async function serviceNamed(objects: RegistryReader, namespace: string, name: string): Promise<Service> {
  const found = await objects.get(SERVICES, namespace, name);
  if (found === undefined) throw statusError("NotFound", `service "${name}" not found`, { name, kind: "service" });
  return found as unknown as Service;
}

function portOf(service: Service, port: number): NonNullable<NonNullable<Service["spec"]>["ports"]>[number] {
  const found = (service.spec?.ports ?? []).find((one) => one.port === port);
  if (found !== undefined) return found;
  throw serviceUnavailable(`no service port ${port} found for service ${JSON.stringify(service.metadata.name)}`);
}

/** By the Service's cluster IP: the way unless the server is told to go to endpoints itself. */
export function resolveByClusterIp(objects: RegistryReader): ServiceResolver {
  return async (namespace, name, port) => {
    const service = await serviceNamed(objects, namespace, name);
    const type = service.spec?.type ?? "ClusterIP";
    if (type === "ClusterIP" && service.spec?.clusterIP === "None") {
      throw new Error('cannot route to service with ClusterIP "None"');
    }
    if (ROUTABLE.has(type)) return { host: service.spec?.clusterIP ?? "", port: portOf(service, port).port };
    if (type === "ExternalName") return { host: service.spec?.externalName ?? "", port };
    throw new Error(`unsupported service type ${JSON.stringify(type)}`);
  };
}

/** By one of the Service's ready endpoints, taken at random, of its first family if there is one. */
export function resolveByEndpoints(objects: RegistryReader, random: Random): ServiceResolver {
  return async (namespace, name, port) => {
    const service = await serviceNamed(objects, namespace, name);
    const type = service.spec?.type ?? "ClusterIP";
    if (!ROUTABLE.has(type)) throw new Error(`unsupported service type ${JSON.stringify(type)}`);
    const servicePort = portOf(service, port);
    const family = service.spec?.ipFamilies?.[0];
    const labelSelector = `kubernetes.io/service-name=${name}`;
    const found = (await objects.list(SLICES, namespace, { labelSelector })) as unknown as readonly EndpointSlice[];
    const slices = found.toSorted((a, b) => Number(b.addressType === family) - Number(a.addressType === family));
    for (const slice of slices) {
      const target = slice.ports?.find(
        (one) => (one.name ?? "") === (servicePort.name ?? "") && one.port !== undefined,
      );
      const ready = (slice.endpoints ?? []).filter((endpoint) => endpoint.conditions?.ready !== false);
      const [host] = ready[Math.floor(random.next() * ready.length)]?.addresses ?? [];
      if (target?.port !== undefined && host !== undefined) return { host, port: target.port };
    }
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  };
}
