/** The composition root: which processes a cluster has, who starts them, who cleans up after them. */
export { ownAddressPool } from "./cloud.ts";
export {
  clusterPaths,
  nthAddress,
  type CloudConfig,
  type ClusterConfig,
  type NodeConfig,
  type ProxyMode,
} from "./cluster-config.ts";
export { CLOUD_CONTROLLER_MANAGER, cloudControllerManagerRole } from "./addons/cloud-objects.ts";
export { unpackClientProgram } from "./programs/client-program.ts";
export { clusterNetworkOf, namespacedNodes } from "./cluster-network.ts";
export { nodeAddress } from "./node-address.ts";
export {
  DATA_ROOT,
  isAlive,
  listClusters,
  readState,
  removeClusterDir,
  RUN_ROOT,
  type ClusterState,
  type ProcessState,
} from "./supervisor/cluster-state.ts";
export { ClusterRunningError, endProcesses, runCluster, type RunClusterDeps } from "./supervisor/run-cluster.ts";
export { ProcessFailedError } from "./supervisor/supervised-process.ts";
export { removeNodeLeftovers } from "./supervisor/node-leftovers.ts";
