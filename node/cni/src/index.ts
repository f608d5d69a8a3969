/**
 * The pod network of a node: a routed link for each pod, addresses from the node's range remembered on disk, published
 * ports. Adding and removing are idempotent and survive a kill at any moment.
 */
export { runNodeRoutes, type NodeRoutesOptions } from "./node-routes.ts";
export {
  openPodNetwork,
  removePodNetworkData,
  type PodNetworkAttachment,
  type PodNetworkOptions,
  type RoutedPodNetwork,
} from "./pod-network.ts";
