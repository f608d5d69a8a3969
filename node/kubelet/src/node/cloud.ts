import type { NodeAddress, Taint } from "@coracle/api/core/v1";
import type { KubeletConfiguration } from "../config.ts";

type CloudSettings = Pick<KubeletConfiguration, "cloudProvider" | "providerID" | "providedNodeIPs">;

const PROVIDED_NODE_IP = "alpha.kubernetes.io/provided-node-ip";

/** Keeps pods off a node until a cloud-controller-manager has said what it is. */
const UNINITIALIZED: Taint = {
  key: "node.cloudprovider.kubernetes.io/uninitialized",
  value: "true",
  effect: "NoSchedule",
};

/** What a node is registered with, because of a cloud or for want of one. An annotation of undefined is not to be there. */
export interface CloudRegistration {
  readonly annotations: Readonly<Record<string, string | undefined>>;
  readonly taints: readonly Taint[];
  readonly providerID: string | undefined;
}

/** What `--cloud-provider`, `--provider-id` and `--node-ip` mean for the node's object. */
export function cloudRegistration({ cloudProvider, providerID, providedNodeIPs }: CloudSettings): CloudRegistration {
  const isExternal = cloudProvider === "external";
  const provided = isExternal && providedNodeIPs.length > 0 ? providedNodeIPs.join(",") : undefined;
  return {
    annotations: { [PROVIDED_NODE_IP]: provided },
    taints: isExternal ? [UNINITIALIZED] : [],
    providerID: providerID === "" ? undefined : providerID,
  };
}

/**
 * The addresses that the node says it has. With a cloud, those that it has already are the cloud's to change; before, only
 * addresses that were given on the command line are sure.
 */
export function nodeAddresses(
  { cloudProvider, providedNodeIPs }: CloudSettings,
  current: readonly NodeAddress[],
  ips: readonly string[],
  hostname: string,
): readonly NodeAddress[] {
  const isExternal = cloudProvider === "external";
  if (isExternal && current.length > 0) return current;
  return [
    ...(isExternal ? providedNodeIPs : ips).map((address) => ({ type: "InternalIP", address })),
    { type: "Hostname", address: hostname },
  ];
}
