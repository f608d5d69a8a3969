import { isAlreadyExists, isConflict, type Draft, type JsonObject } from "@coracle/apimachinery";
import { isIPv6 } from "node:net";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";

const NAMESPACE = "default";
const NAME = "kubernetes";
const SERVICES: ResourceRef = { group: "", version: "v1", plural: "services" };
const ENDPOINTS: ResourceRef = { group: "", version: "v1", plural: "endpoints" };
const SLICES: ResourceRef = { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" };
const CIDRS: ResourceRef = { group: "networking.k8s.io", version: "v1", plural: "servicecidrs" };

export interface KubernetesServiceOptions {
  readonly objects: RegistryReader;
  /** First address of the service range. */
  readonly serviceIp: string;
  /** `10.0.0.0/24`, for dual stack two of them. */
  readonly serviceCidrs: readonly string[];
  /** Where pods reach this server. */
  readonly advertiseAddress: string;
  readonly port: number;
  /** False: where the service leads is somebody else's business. */
  readonly publishesEndpoints?: boolean | undefined;
  /** Absent: no port of nodes. */
  readonly nodePort?: number | undefined;
}

const PROVIDER_LABELS = { component: "apiserver", provider: "kubernetes" };

async function put(
  objects: RegistryReader,
  ref: ResourceRef,
  namespace: string,
  wanted: JsonObject,
  isSame: (existing: ApiObject) => boolean,
): Promise<void> {
  const name = (wanted["metadata"] as JsonObject)["name"] as string;
  const existing = await objects.get(ref, namespace, name);
  if (existing !== undefined && isSame(existing)) return;
  try {
    if (existing === undefined) await objects.create(ref, namespace, structuredClone(wanted) as Draft);
    else {
      const { metadata: _metadata, ...content } = structuredClone(wanted) as Draft;
      await objects.update(ref, namespace, name, { ...(structuredClone(existing) as unknown as Draft), ...content });
    }
  } catch (error) {
    if (!isAlreadyExists(error) && !isConflict(error)) throw error;
  }
}

/** The Service through which pods find this server, its endpoints, and the range of service addresses. */
export async function publishKubernetesService(options: KubernetesServiceOptions): Promise<void> {
  const { objects, advertiseAddress, port, nodePort } = options;
  await put(
    objects,
    CIDRS,
    "",
    {
      kind: "ServiceCIDR",
      apiVersion: "networking.k8s.io/v1",
      metadata: { name: NAME },
      spec: { cidrs: options.serviceCidrs },
    },
    () => true,
  );
  await put(
    objects,
    SERVICES,
    NAMESPACE,
    {
      kind: "Service",
      apiVersion: "v1",
      metadata: { name: NAME, namespace: NAMESPACE, labels: PROVIDER_LABELS },
      spec: {
        type: nodePort === undefined ? "ClusterIP" : "NodePort",
        clusterIP: options.serviceIp,
        ipFamilyPolicy: "SingleStack",
        sessionAffinity: "None",
        internalTrafficPolicy: "Cluster",
        ports: [
          { name: "https", protocol: "TCP", port: 443, targetPort: port, ...(nodePort !== undefined && { nodePort }) },
        ],
      },
    },
    () => true,
  );
  // An address that no pod can reach is no endpoint; the API refuses it.
  if (options.publishesEndpoints === false) return;
  if (advertiseAddress.startsWith("127.") || advertiseAddress === "::1") return;
  const subsets = [{ addresses: [{ ip: advertiseAddress }], ports: [{ name: "https", port, protocol: "TCP" }] }];
  const endpoints = [{ addresses: [advertiseAddress], conditions: { ready: true } }];
  await Promise.all([
    put(
      objects,
      ENDPOINTS,
      NAMESPACE,
      {
        kind: "Endpoints",
        apiVersion: "v1",
        metadata: { name: NAME, namespace: NAMESPACE, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        subsets,
      },
      (existing) => JSON.stringify(existing["subsets"]) === JSON.stringify(subsets),
    ),
    put(
      objects,
      SLICES,
      NAMESPACE,
      {
        kind: "EndpointSlice",
        apiVersion: "discovery.k8s.io/v1",
        metadata: { name: NAME, namespace: NAMESPACE, labels: { "kubernetes.io/service-name": NAME } },
        addressType: isIPv6(advertiseAddress) ? "IPv6" : "IPv4",
        endpoints,
        ports: [{ name: "https", port, protocol: "TCP" }],
      },
      (existing) =>
        JSON.stringify(existing["endpoints"]) === JSON.stringify(endpoints) &&
        (existing["ports"] as unknown as readonly { port?: number }[] | undefined)?.[0]?.port === port,
    ),
  ]);
}
