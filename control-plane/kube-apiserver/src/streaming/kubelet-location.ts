import { badRequest, notFound, statusError } from "@coracle/apimachinery";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
/** Types of a node's addresses, best first, where nothing else is said. */
export const KUBELET_ADDRESS_TYPES: readonly string[] = [
  "InternalIP",
  "ExternalIP",
  "InternalDNS",
  "ExternalDNS",
  "Hostname",
];
const KUBELET_PORT = 10250;

/** Where a node's kubelet listens. */
export interface KubeletLocation {
  readonly host: string;
  readonly port: number;
}

/** The kubelet of a node, from what the node's status says. */
export async function kubeletOf(
  objects: RegistryReader,
  nodeName: string,
  addressTypes: readonly string[] = KUBELET_ADDRESS_TYPES,
): Promise<KubeletLocation> {
  const node = (await objects.get(core("nodes"), "", nodeName)) as unknown as Node | undefined;
  if (node === undefined) throw notFound({ group: "", resource: "nodes" }, nodeName);
  const addresses = node.status?.addresses ?? [];
  for (const type of addressTypes) {
    const found = addresses.find((address) => address.type === type);
    if (found !== undefined) {
      return { host: found.address, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port || KUBELET_PORT };
    }
  }
  const known = addresses.map((one) => `{${one.type} ${one.address}}`).join(" ");
  throw statusError("", `no preferred addresses found; known addresses: [${known}]`);
}

/** The pod that a connect request names. Throws 404. */
export async function podNamed(objects: RegistryReader, namespace: string, name: string): Promise<Pod> {
  const pod = await objects.get(core("pods"), namespace, name);
  if (pod === undefined) throw notFound({ group: "", resource: "pods" }, name);
  return pod as unknown as Pod;
}

/** The container a request means: the one it names, or the only one there is. Throws 400. */
export function containerOf(pod: Pod, asked: string): string {
  const { name } = pod.metadata;
  const containers = (pod.spec?.containers ?? []).map((container) => container.name);
  const initContainers = (pod.spec?.initContainers ?? []).map((container) => container.name);
  const ephemeral = (pod.spec?.ephemeralContainers ?? []).map((container) => container.name);
  if (asked === "") {
    if (containers.length === 1) return containers[0]!;
    const others = initContainers.length === 0 ? "" : ` or one of the init containers: [${initContainers.join(" ")}]`;
    throw badRequest(
      `a container name must be specified for pod ${name}, choose one of: [${containers.join(" ")}]${others}`,
    );
  }
  if (![...containers, ...initContainers, ...ephemeral].includes(asked)) {
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  return asked;
}
