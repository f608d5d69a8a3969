import { clusterNetworkOf, isNamespaced } from "./cluster-network.ts";
import type { ClusterConfig } from "./cluster-config.ts";

/** Whether routes between the nodes are the cloud's; if not, each node makes its own. */
export const cloudRoutes = (config: ClusterConfig): boolean =>
  config.cloud?.provider === "local" && isNamespaced(config);

/** What the provider `local` is told of the cluster's nodes and of its pool. */
export function localCloudConfig(config: ClusterConfig): string {
  return JSON.stringify({
    addressPool: config.cloud?.addressPool ?? [],
    machines: config.nodes.map(({ name, networkNamespace }) => ({ name, networkNamespace })),
  });
}

/** Addresses on the link of nodes in namespaces, which is the cluster's own: free ones are known. */
export function ownAddressPool(clusterName: string): readonly string[] {
  const link = clusterNetworkOf(clusterName).subnet.replace(/\d+\/\d+$/, "");
  return [`${link}200-${link}250`];
}
