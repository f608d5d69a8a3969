import { createHash } from "node:crypto";

export interface LinkPlan {
  readonly podAddress: string;
  readonly gateway: string;
  readonly hostInterface: string;
  readonly netnsPath: string;
  readonly mtu: number | undefined;
}

/** The host's end of a pod's link: at most 15 characters, the same for the same pod. */
export function hostInterfaceOf(sandboxId: string): string {
  return `veth${createHash("sha1").update(sandboxId).digest("hex").slice(0, 10)}`;
}

/**
 * The commands that connect a pod by a routed link: the pod's end has its one address and reaches everything through
 * the gateway, which is an address of the host's end; the host has one route for each pod. No bridge, so every packet
 * passes the host's forwarding rules.
 */
export function planLink(plan: LinkPlan): { readonly host: readonly string[]; readonly pod: readonly string[] } {
  const { podAddress, gateway, hostInterface, netnsPath } = plan;
  const mtu = plan.mtu === undefined ? "" : ` mtu ${plan.mtu}`;
  return {
    host: [
      `link add ${hostInterface}${mtu} type veth peer name eth0${mtu} netns ${netnsPath}`,
      `addr add ${gateway}/32 dev ${hostInterface}`,
      `link set ${hostInterface} up`,
      `route replace ${podAddress}/32 dev ${hostInterface}`,
    ],
    pod: [
      `link set lo up`,
      `addr add ${podAddress}/32 dev eth0`,
      `link set eth0 up`,
      `route add ${gateway} dev eth0 scope link`,
      `route add default via ${gateway} dev eth0 onlink`,
    ],
  };
}
