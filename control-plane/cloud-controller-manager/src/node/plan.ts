import type { Node, NodeAddress, Taint } from "@coracle/api/core/v1";
import type { InstanceMetadata } from "../provider/cloud-provider.ts";

/** On a node that its kubelet registered with `--cloud-provider=external`, until the cloud has said what it is. */
const UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized";
/** The addresses that the kubelet was told to use, separated by commas. */
const PROVIDED_NODE_IP = "alpha.kubernetes.io/provided-node-ip";

const taintsOf = (node: Node): readonly Taint[] => node.spec?.taints ?? [];

/** Whether the node still waits for the cloud. */
export const isUninitialized = (node: Node): boolean => taintsOf(node).some(({ key }) => key === UNINITIALIZED);

/** Labels that come in pairs: the first's value counts for both. */
const LABEL_PAIRS = [
  ["failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"],
  ["failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"],
  ["beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"],
] as const;

/** Labels that an initialised node lacks, or has wrong. */
export function missingLabels(node: Node): Readonly<Record<string, string>> {
  const { labels = {} } = node.metadata;
  const missing: Record<string, string> = {};
  for (const [old, current] of LABEL_PAIRS) {
    const value = labels[old];
    if (value !== undefined && labels[current] !== value) missing[current] = value;
  }
  return missing;
}

/** The addresses that a kubelet insists on come first, and alone of their type. Throws when the cloud has none like that. */
export function preferProvidedAddresses(node: Node, addresses: readonly NodeAddress[]): readonly NodeAddress[] {
  const provided = node.metadata.annotations?.[PROVIDED_NODE_IP];
  if (provided === undefined) return addresses;
  const preferred: NodeAddress[] = [];
  for (const ip of provided.split(",").map((text) => text.trim())) {
    const matching = addresses.filter(({ address }) => address === ip);
    if (matching.length === 0) throw new Error(`failed to get node address from cloud provider that matches ip: ${ip}`);
    preferred.push(...matching);
  }
  const types = new Set(preferred.map(({ type }) => type));
  return [...preferred, ...addresses.filter(({ type }) => !types.has(type))];
}

/** The node's addresses as the cloud and its kubelet have them; undefined: those it has are right. */
export function planAddresses(node: Node, addresses: readonly NodeAddress[]): readonly NodeAddress[] | undefined {
  if (addresses.length === 0) return undefined;
  const current = node.status?.addresses ?? [];
  const all = addresses.some(({ type }) => type === "Hostname")
    ? addresses
    : [...addresses, ...current.filter(({ type }) => type === "Hostname")];
  const wanted = preferProvidedAddresses(node, all);
  const texts = (list: readonly NodeAddress[]): string =>
    JSON.stringify(list.map(({ type, address }) => [type, address]));
  return texts(wanted) === texts(current) ? undefined : wanted;
}

const KUBERNETES_DOMAIN = /(^|\.)(kubernetes|k8s)\.io\//;

/**
 * The node with what the cloud says of it, and without the taint. Throws when it must keep the taint. Labels that the
 * cloud may not set are told to `discard`.
 */
export function initialized(node: Node, metadata: InstanceMetadata, discard: (label: string) => void): Node {
  const { name } = node.metadata;
  const providerId = node.spec?.providerID ?? "";
  if (providerId === "" && (metadata.providerId ?? "") === "")
    throw new Error(
      `failed to get instance metadata for node ${name}: cloud provider does not set node provider ID for node ${name}`,
    );
  try {
    preferProvidedAddresses(node, metadata.addresses ?? []);
  } catch (error) {
    throw new Error(
      `failed to get node modifiers from cloud provider: provided node ip for node ${JSON.stringify(name)} is not valid: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const labels: Record<string, string> = { ...node.metadata.labels };
  const values = [metadata.zone, metadata.region, metadata.instanceType];
  LABEL_PAIRS.forEach(([old, current], i) => {
    const value = values[i] ?? "";
    if (value !== "") labels[old] = labels[current] = value;
  });
  for (const [key, value] of Object.entries(metadata.additionalLabels ?? {})) {
    if (!KUBERNETES_DOMAIN.test(key) && !Object.hasOwn(labels, key)) labels[key] = value;
    else if (labels[key] !== value) discard(key);
  }
  return {
    ...node,
    metadata: { ...node.metadata, labels },
    spec: {
      ...node.spec,
      providerID: providerId === "" ? metadata.providerId : providerId,
      taints: taintsOf(node).filter(({ key }) => key !== UNINITIALIZED),
    },
  };
}
