/** One published port of a pod. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp";
  readonly hostIp: string | undefined;
  readonly hostPort: number;
  readonly podAddress: string;
  readonly podPort: number;
}

/** Name of the nftables table; one for each node, because nodes in tests share no network but may share a kernel. */
export const TABLE = "coracle_hostports";

/** The rules that send the node's published ports to the pods, all of them, replacing what was there. */
export function hostPortRules(ports: readonly PublishedPort[], podCidr: string): string {
  const destination = (port: PublishedPort): string =>
    port.hostIp === undefined ? "fib daddr type local" : `ip daddr ${port.hostIp}`;
  const rules = ports.map(
    (port) =>
      `    ${destination(port)} ${port.protocol} dport ${port.hostPort} dnat to ${port.podAddress}:${port.podPort}`,
  );
  const head = `table ip ${TABLE}\ndelete table ip ${TABLE}\n`;
  if (ports.length === 0) return head;
  return `${head}table ip ${TABLE} {
  chain publish {
${rules.join("\n")}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat + 5; policy accept;
    jump publish
  }
  chain output {
    type nat hook output priority -95; policy accept;
    jump publish
  }
  chain postrouting {
    type nat hook postrouting priority srcnat - 5; policy accept;
    ct status dnat ip saddr 127.0.0.0/8 ip daddr ${podCidr} masquerade
    ct status dnat ip saddr ${podCidr} ip daddr ${podCidr} ct original ip daddr != ${podCidr} masquerade
  }
}
`;
}
