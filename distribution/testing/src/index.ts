/**
 * Machines, registries, images and clusters for tests. What is made here is real, lives in a network namespace without
 * a way out, and is gone when it is disposed of.
 */
export { busyboxImage, nodeImage, type ImageFiles } from "./image/built-images.ts";
export { exampleImages } from "./image/example-images.ts";
export { imageArchive, makeImage, makeLayer, type Image, type ImageConfig, type Layer } from "./image/image.ts";
export { tarArchive, type TarMember } from "./image/tar-archive.ts";
export { hostLeftovers, snapshotHost, type HostSnapshot } from "./host/host-snapshot.ts";
export { createTestHost, programPath, type HostProcess, type TestHost } from "./host/test-host.ts";
export { startRegistry, type Registry } from "./registry/registry.ts";
export { startTestEnvironment, type EnvironmentUser, type TestEnvironment } from "./environment/test-environment.ts";
export { startBusyboxCluster, webDeployment, type BusyboxCluster } from "./cluster/busybox-cluster.ts";
export { eventually } from "./cluster/eventually.ts";
export {
  coracleFile,
  ensureBuilt,
  runCoracle,
  startCluster,
  type StartOptions,
  type TestCluster,
  type TestClusterOptions,
} from "./cluster/test-cluster.ts";
export type { SimulatedNode } from "./control-plane/simulated-node.ts";
export {
  createTestControlPlane,
  type TestControlPlane,
  type TestControlPlaneOptions,
} from "./control-plane/test-control-plane.ts";
export { consoleCommands, isAsWritten, type PageCommand } from "./readme/console-blocks.ts";
