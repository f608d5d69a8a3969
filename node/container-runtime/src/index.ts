/**
 * Images and containers behind CRI v1. Containers outlive this process: after a restart, also a SIGKILL, it finds them
 * as they are and learns what ended meanwhile.
 */
export { parseContainerRuntimeFlags, type ContainerRuntimeFlags } from "./flags.ts";
export { runContainerRuntime, type ContainerRuntimeOptions } from "./run-container-runtime.ts";
export { removeEverything, type RemoveEverythingOptions } from "./remove-everything.ts";
export { importImage, listImages } from "./server/import-client.ts";
export { createExecPodNetwork } from "./network/exec-cni.ts";
export type { PodNetwork, PodNetworkRequest, PodNetworkResult } from "./network/pod-network.ts";
export type { OciRuntimeChoice } from "./host/oci-runtime.ts";
export type { RegistryHost } from "./image/registry.ts";
