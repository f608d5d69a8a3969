/**
 * The node agent: runs the pods that are bound to its node through a container runtime (CRI), and speaks for the node in
 * the API.
 */
export { DEFAULT_CONFIGURATION, type KubeletConfiguration } from "./config.ts";
export { parseKubeletFlags, type KubeletFlags } from "./flags.ts";
export { runKubelet, type KubeletOptions } from "./kubelet.ts";
export type { KubeletTls } from "./server/kubelet-server.ts";
