/**
 * The controllers that talk to a cloud: nodes get what their machines are, Services their load balancers, pods their
 * routes. A provider is handed in, built in (`local`), or loaded from an npm package; all keep one contract.
 */
export { defaultFlags, parseCloudControllerManagerFlags, type CloudControllerManagerFlags } from "./flags.ts";
export { removeBalancerAddresses } from "./local/balancer-addresses.ts";
export { CloudMetrics } from "./metrics.ts";
export type {
  CloudProvider,
  CloudProviderContext,
  CloudProviderFactory,
  InstanceMetadata,
  Instances,
  LoadBalancers,
  Route,
  Routes,
  Zones,
} from "./provider/cloud-provider.ts";
export { runCloudControllerManager, type CloudControllerManagerOptions } from "./run-cloud-controller-manager.ts";
