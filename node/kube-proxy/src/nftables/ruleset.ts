import { createHash } from "node:crypto";
import type { RuleOptions } from "../rule-backend.ts";
import type { Endpoint, ServicePort } from "../services/service-port.ts";

/** The table that holds everything: removing it removes the proxy. */
export const TABLE = "ip kube-proxy";

/** The wanted content of the table, by name, so that two states can be compared. */
export interface NftRuleset {
  /** Chain → rules. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Set → declaration (clients of services with affinity). */
  readonly sets: ReadonlyMap<string, string>;
  /** Map → element key → verdict. */
  readonly maps: ReadonlyMap<MapName, ReadonlyMap<string, string>>;
}

export const MAPS = {
  "service-ips": "type ipv4_addr . inet_proto . inet_service : verdict",
  "service-nodeports": "type inet_proto . inet_service : verdict",
  "no-endpoint-services": "type ipv4_addr . inet_proto . inet_service : verdict",
  "no-endpoint-nodeports": "type inet_proto . inet_service : verdict",
  "firewall-ips": "type ipv4_addr . inet_proto . inet_service : verdict",
} as const;
export type MapName = keyof typeof MAPS;

const nameOf = (prefix: string, port: ServicePort, suffix = ""): string => {
  const hash = createHash("sha256").update(`${port.id}/${port.protocol}${suffix}`).digest("hex").slice(0, 8);
  return `${prefix}-${hash}-${`${port.namespace}/${port.name}`.replace(/[^A-Za-z0-9/._-]/g, "").slice(0, 40)}/${port.protocol}/${port.port}`.replaceAll(
    ".",
    "-",
  );
};

/** The frame: hooks, masquerading, maps. Never changes while the proxy runs. */
export function frame(options: RuleOptions): string {
  const mark = `0x${(2 ** options.masqueradeBit).toString(16)}`;
  const notLocal = "fib daddr type local";
  return `
table ${TABLE} {
${Object.entries(MAPS)
  .map(([name, type]) => `  map ${name} { ${type} ; }`)
  .join("\n")}
  chain mark-for-masquerade {
    meta mark set mark or ${mark}
  }
  chain masquerading {
    meta mark & ${mark} != 0 meta mark set mark xor ${mark} masquerade fully-random
  }
  chain reject-chain {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    ${notLocal} ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
  }
  chain firewall-check {
    ip daddr . meta l4proto . th dport vmap @firewall-ips
  }
  chain service-endpoints-check {
    ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    ${notLocal} ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @no-endpoint-nodeports
  }
  chain nat-prerouting {
    type nat hook prerouting priority dstnat ; policy accept ;
    jump services
  }
  chain nat-output {
    type nat hook output priority -100 ; policy accept ;
    jump services
  }
  chain nat-postrouting {
    type nat hook postrouting priority srcnat ; policy accept ;
    jump masquerading
  }
  chain filter-prerouting {
    type filter hook prerouting priority -110 ; policy accept ;
    ct state new jump firewall-check
    ct state new jump service-endpoints-check
  }
  chain filter-output {
    type filter hook output priority -110 ; policy accept ;
    ct state new jump firewall-check
    ct state new jump service-endpoints-check
  }
  chain filter-forward {
    type filter hook forward priority -110 ; policy accept ;
    ct state invalid drop
  }
}
`;
}

/** Computes chains, sets and map elements of all services. Pure. */
export function buildNftRuleset(ports: readonly ServicePort[], options: RuleOptions): NftRuleset {
  const chains = new Map<string, string[]>();
  const sets = new Map<string, string>();
  const maps = new Map<MapName, Map<string, string>>((Object.keys(MAPS) as MapName[]).map((name) => [name, new Map()]));
  const element = (map: MapName, key: string, verdict: string): void => void maps.get(map)?.set(key, verdict);

  for (const port of ports) {
    const { protocol } = port;
    const chain = nameOf("service", port);
    const external = nameOf("external", port);
    const refusal = port.hasAnyEndpoint ? "drop" : "goto reject-chain";
    const at = (address: string): string => `${address} . ${protocol} . ${port.port}`;
    if (port.internal.length > 0) {
      element("service-ips", at(port.clusterIp), `goto ${chain}`);
      const source = options.masqueradeAll
        ? ""
        : options.clusterCidr === undefined
          ? undefined
          : `ip saddr != ${options.clusterCidr} `;
      const masquerade =
        source === undefined
          ? []
          : [`ip daddr ${port.clusterIp} ${protocol} dport ${port.port} ${source}jump mark-for-masquerade`];
      chains.set(chain, [...masquerade, ...balance(port, port.internal, sets)]);
    } else element("no-endpoint-services", at(port.clusterIp), refusal);

    const hasExternal = port.externalIps.length > 0 || port.nodePort !== 0;
    if (hasExternal && port.external.length > 0) {
      const rules: string[] = [];
      if (port.keepsClientAddress) {
        if (port.internal.length > 0) {
          if (options.clusterCidr !== undefined) rules.push(`ip saddr ${options.clusterCidr} goto ${chain}`);
          rules.push("fib saddr type local jump mark-for-masquerade", `fib saddr type local goto ${chain}`);
        }
      } else rules.push("jump mark-for-masquerade");
      chains.set(external, [...rules, ...balance(port, port.external, sets)]);
    }
    if (port.firewall !== undefined) {
      const firewall = nameOf("firewall", port);
      chains.set(firewall, [`ip saddr != { ${port.firewall.sources.join(", ")} } drop`]);
      for (const address of port.firewall.addresses) element("firewall-ips", at(address), `goto ${firewall}`);
    }
    const verdict = port.external.length > 0 ? `goto ${external}` : refusal;
    for (const address of port.externalIps)
      element(port.external.length > 0 ? "service-ips" : "no-endpoint-services", at(address), verdict);
    if (port.nodePort !== 0) {
      element(
        port.external.length > 0 ? "service-nodeports" : "no-endpoint-nodeports",
        `${protocol} . ${port.nodePort}`,
        verdict,
      );
    }
    for (const endpoint of [...port.internal, ...port.external]) addEndpoint(port, endpoint, chains);
  }
  return { chains, sets, maps };
}

const endpointName = (port: ServicePort, endpoint: Endpoint): string =>
  `${nameOf("endpoint", port, `${endpoint.address}:${endpoint.port}`)}__${endpoint.address.replaceAll(".", "-")}/${endpoint.port}`;
const affinityName = (port: ServicePort, endpoint: Endpoint): string =>
  endpointName(port, endpoint).replace(/^endpoint/, "affinity");

function balance(port: ServicePort, endpoints: readonly Endpoint[], sets: Map<string, string>): string[] {
  const rules: string[] = [];
  if (port.affinitySeconds !== undefined) {
    for (const endpoint of endpoints) {
      const set = affinityName(port, endpoint);
      sets.set(set, `type ipv4_addr ; flags dynamic,timeout ; timeout ${port.affinitySeconds}s ;`);
      rules.push(`ip saddr @${set} goto ${endpointName(port, endpoint)}`);
    }
  }
  const branches = endpoints.map((endpoint, i) => `${i} : goto ${endpointName(port, endpoint)}`).join(" , ");
  rules.push(`numgen random mod ${endpoints.length} vmap { ${branches} }`);
  return rules;
}

function addEndpoint(port: ServicePort, endpoint: Endpoint, chains: Map<string, string[]>): void {
  const affinity =
    port.affinitySeconds === undefined
      ? []
      : [`update @${affinityName(port, endpoint)} { ip saddr timeout ${port.affinitySeconds}s }`];
  chains.set(endpointName(port, endpoint), [
    `ip saddr ${endpoint.address} jump mark-for-masquerade`,
    ...affinity,
    `meta l4proto ${port.protocol} dnat to ${endpoint.address}:${endpoint.port}`,
  ]);
}
