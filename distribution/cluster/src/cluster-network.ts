import { createHash } from "node:crypto";
import { ipBatch, nft, run, writeSysctl } from "@coracle/linux";
import type { ClusterConfig, NodeConfig } from "./cluster-config.ts";

/** The link that joins a cluster's nodes when each lives in a network namespace of its own. */
export interface ClusterNetwork {
  readonly bridge: string;
  /** `172.30.N.0/24`. */
  readonly subnet: string;
  /** The host on that link: where nodes find the API server. */
  readonly hostAddress: string;
  /** Of the host's route to this cluster's Services: clusters that have the same range do not take each other's route. */
  readonly serviceMetric: number;
}

/** Names and addresses derived from the cluster's name, so that clusters beside one another differ. Pure. */
export function clusterNetworkOf(clusterName: string): ClusterNetwork {
  const digest = createHash("sha256").update(clusterName).digest();
  const third = digest[0] ?? 0;
  return {
    bridge: `cor-${digest.toString("hex").slice(0, 8)}`,
    subnet: `172.30.${third}.0/24`,
    hostAddress: `172.30.${third}.1`,
    serviceMetric: 1000 + third,
  };
}

/** Nodes of a cluster of several: `node-1` …, each with its namespace and its address on the cluster's link. Pure. */
export function namespacedNodes(clusterName: string, count: number, hasDns: boolean): NodeConfig[] {
  const { hostAddress } = clusterNetworkOf(clusterName);
  return Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    address: hostAddress.replace(/\d+$/, String(i + 11)),
    networkNamespace: `/run/netns/coracle-${clusterName}-${i + 1}`,
    hasDns: hasDns && i === 0,
    kubeletPort: 10250,
  }));
}

/** Whether the cluster's nodes have namespaces of their own. */
export const isNamespaced = (config: ClusterConfig): boolean =>
  config.nodes.some((node) => node.networkNamespace !== undefined);
const namespaceName = (node: NodeConfig): string => (node.networkNamespace ?? "").replace("/run/netns/", "");
const tableOf = (network: ClusterNetwork): string => `ip coracle_${network.bridge.replaceAll("-", "_")}`;

const succeeds = async (command: string, args: readonly string[]): Promise<boolean> =>
  (await run(command, args, { allowFailure: true })).code === 0;

/** Makes the link, the namespaces and the way out, as far as they are not there: pods of a former run stay connected. */
export async function createClusterNetwork(config: ClusterConfig): Promise<void> {
  if (!isNamespaced(config)) return;
  await writeSysctl("net.ipv4.ip_forward", "1");
  const network = clusterNetworkOf(config.name);
  const { bridge, subnet, hostAddress, serviceMetric } = network;
  if (!(await succeeds("ip", ["link", "show", bridge]))) {
    await ipBatch([
      `link add ${bridge} type bridge`,
      `addr add ${hostAddress}/24 dev ${bridge}`,
      `link set ${bridge} up`,
    ]);
  }
  for (const [i, node] of config.nodes.entries()) await createNamespace(network, node, `${bridge}${i}`);
  // The API server calls webhooks and other servers by their Services, whose rules are in the nodes' namespaces.
  const [first] = config.nodes;
  if (first !== undefined)
    await ipBatch([`route replace ${config.serviceCidr} via ${first.address} metric ${serviceMetric}`]);
  const table = tableOf(network);
  // `add` before `delete` makes the deletion of an absent table no error.
  await nft(`
add table ${table}
delete table ${table}
table ${table} {
  chain postrouting {
    type nat hook postrouting priority srcnat ; policy accept ;
    ip saddr ${subnet} ip daddr != ${subnet} ip daddr != ${config.podCidr} masquerade
  }
}
`);
}

async function createNamespace({ bridge, hostAddress }: ClusterNetwork, node: NodeConfig, link: string): Promise<void> {
  const namespace = namespaceName(node);
  if (await succeeds("ip", ["-n", namespace, "link", "show", "eth0"])) return;
  // A reboot leaves the file without what it stood for.
  await run("ip", ["netns", "del", namespace], { allowFailure: true });
  await run("ip", ["netns", "add", namespace]);
  await ipBatch([
    `link add ${link} type veth peer name eth0 netns ${namespace}`,
    `link set ${link} master ${bridge}`,
    `link set ${link} up`,
  ]);
  await ipBatch(
    [
      "link set lo up",
      `addr add ${node.address}/24 dev eth0`,
      "link set eth0 up",
      `route add default via ${hostAddress}`,
    ],
    { netns: node.networkNamespace },
  );
}

/** Takes everything of `createClusterNetwork` back; twice is no error. */
export async function removeClusterNetwork(config: ClusterConfig): Promise<void> {
  if (!isNamespaced(config)) return;
  const network = clusterNetworkOf(config.name);
  for (const node of config.nodes) await run("ip", ["netns", "del", namespaceName(node)], { allowFailure: true });
  await run("ip", ["link", "del", network.bridge], { allowFailure: true });
  const table = tableOf(network);
  await nft(`add table ${table}\ndelete table ${table}\n`);
}
