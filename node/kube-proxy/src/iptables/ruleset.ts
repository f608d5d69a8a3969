import { createHash } from "node:crypto";
import type { RuleOptions } from "../rule-backend.ts";
import type { Endpoint, ServicePort } from "../services/service-port.ts";

/** Chain name → its rules, without `-A CHAIN`. */
export type Chains = ReadonlyMap<string, readonly string[]>;

/** The wanted chains of both tables. Chains are named as upstream names them. */
export interface Ruleset {
  readonly filter: Chains;
  readonly nat: Chains;
}

/** Jumps from the kernel's chains into ours: table, chain, rule. The filter jumps come first in their chains. */
export const JUMPS: readonly { readonly table: "filter" | "nat"; readonly chain: string; readonly rule: string }[] = [
  { table: "nat", chain: "PREROUTING", rule: '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES' },
  { table: "nat", chain: "OUTPUT", rule: '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES' },
  {
    table: "nat",
    chain: "POSTROUTING",
    rule: '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
  },
  ...["INPUT", "FORWARD", "OUTPUT"].map((chain) => ({
    table: "filter" as const,
    chain,
    rule: '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
  })),
  { table: "filter", chain: "INPUT", rule: "-j KUBE-FIREWALL" },
  { table: "filter", chain: "OUTPUT", rule: "-j KUBE-FIREWALL" },
  ...["INPUT", "FORWARD", "OUTPUT"].map((chain) => ({
    table: "filter" as const,
    chain,
    rule: '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
  })),
  { table: "filter", chain: "FORWARD", rule: '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD' },
];

function hashOf(...parts: readonly string[]): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const digest = createHash("sha256").update(parts.join("")).digest();
  let out = "";
  for (let bit = 0; out.length < 16; bit += 5) {
    const value = (((digest[bit >> 3] ?? 0) << 8) | (digest[(bit >> 3) + 1] ?? 0)) >> (11 - (bit & 7));
    out += alphabet[value & 31];
  }
  return out;
}

export const serviceChain = (port: ServicePort): string => `KUBE-SVC-${hashOf(port.id, port.protocol)}`;
const localChain = (port: ServicePort): string => `KUBE-SVL-${hashOf(port.id, port.protocol)}`;
const externalChain = (port: ServicePort): string => `KUBE-EXT-${hashOf(port.id, port.protocol)}`;
const firewallChain = (port: ServicePort): string => `KUBE-FW-${hashOf(port.id, port.protocol)}`;
const endpointChain = (port: ServicePort, endpoint: Endpoint): string =>
  `KUBE-SEP-${hashOf(port.id, port.protocol, `${endpoint.address}:${endpoint.port}`)}`;

const comment = (text: string): string => `-m comment --comment "${text}"`;
const portMatch = (protocol: string, port: number): string => `-m ${protocol} -p ${protocol} --dport ${port}`;

/** Chance of taking each of `count` equally likely branches in turn: 1/n, 1/(n-1), … */
function spread(count: number, index: number): string {
  const left = count - index;
  return left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
}

/** Computes all rules. Pure: the same input gives the same text. */
export function buildRuleset(ports: readonly ServicePort[], options: RuleOptions): Ruleset {
  const mark = `0x${(2 ** options.masqueradeBit).toString(16)}`;
  const filter = new Map<string, string[]>();
  const nat = new Map<string, string[]>();
  const services: string[] = [];
  const nodePorts: string[] = [];
  const refused: string[] = [];
  const guarded: string[] = [];

  for (const port of ports) addServicePort(port, options, { nat, services, nodePorts, refused, guarded });

  nat.set("KUBE-MARK-MASQ", [`-j MARK --or-mark ${mark}`]);
  nat.set("KUBE-POSTROUTING", [
    `-m mark ! --mark ${mark}/${mark} -j RETURN`,
    `-j MARK --xor-mark ${mark}`,
    `${comment("kubernetes service traffic requiring SNAT")} -j MASQUERADE --random-fully`,
  ]);
  nat.set("KUBE-NODEPORTS", nodePorts);
  nat.set("KUBE-SERVICES", [
    ...services,
    `${comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
  ]);
  filter.set("KUBE-SERVICES", refused);
  filter.set("KUBE-PROXY-FIREWALL", guarded);
  filter.set("KUBE-FORWARD", [
    "-m conntrack --ctstate INVALID -j DROP",
    `${comment("kubernetes forwarding rules")} -m mark --mark ${mark}/${mark} -j ACCEPT`,
    `${comment("kubernetes forwarding conntrack rule")} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  ]);
  filter.set("KUBE-FIREWALL", [
    `! -s 127.0.0.0/8 -d 127.0.0.0/8 ${comment("block incoming localnet connections")} -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`,
  ]);
  return { filter, nat };
}

interface Targets {
  readonly nat: Map<string, string[]>;
  readonly services: string[];
  readonly nodePorts: string[];
  readonly refused: string[];
  readonly guarded: string[];
}

function addServicePort(port: ServicePort, options: RuleOptions, targets: Targets): void {
  const { nat, services, nodePorts, refused, guarded } = targets;
  const { id, protocol } = port;
  const hasExternal = port.externalIps.length > 0 || port.nodePort !== 0;
  const refuse = (destination: string, text: string): void => {
    // Endpoints elsewhere mean that this node must not answer; none at all, that nobody does.
    // A reset, not ICMP: the kernel sends no ICMP for packets of the node's own that are routed to `lo`.
    const refusal = protocol === "tcp" ? "tcp-reset" : "icmp-port-unreachable";
    const verdict = port.hasAnyEndpoint ? "DROP" : `REJECT --reject-with ${refusal}`;
    refused.push(`${comment(text)} ${destination} -j ${verdict}`);
  };

  const clusterMatch = `-d ${port.clusterIp} ${portMatch(protocol, port.port)}`;
  if (port.internal.length > 0) {
    const chain = serviceChain(port);
    services.push(`${comment(`${id} cluster IP`)} ${clusterMatch} -j ${chain}`);
    nat.set(chain, [...masqueradeRules(port, options, clusterMatch), ...balance(port, port.internal)]);
  } else refuse(clusterMatch, `${id} has no ${port.hasAnyEndpoint ? "local " : ""}endpoints`);

  if (hasExternal) {
    if (port.external.length > 0) {
      const rules: string[] = [];
      if (port.keepsClientAddress) {
        // From pods and from the node itself every endpoint will do, and the client's address may be lost.
        if (port.internal.length > 0) {
          if (options.clusterCidr !== undefined) {
            rules.push(
              `${comment(`pod traffic for ${id} external destinations`)} -s ${options.clusterCidr} -j ${serviceChain(port)}`,
            );
          }
          const own = `-m addrtype --src-type LOCAL`;
          rules.push(`${comment(`masquerade LOCAL traffic for ${id} external destinations`)} ${own} -j KUBE-MARK-MASQ`);
          rules.push(
            `${comment(`route LOCAL traffic for ${id} external destinations`)} ${own} -j ${serviceChain(port)}`,
          );
        }
        rules.push(`-j ${localChain(port)}`);
        nat.set(localChain(port), balance(port, port.external));
      } else {
        rules.push(`${comment(`masquerade traffic for ${id} external destinations`)} -j KUBE-MARK-MASQ`);
        if (port.internal.length > 0 && sameEndpoints(port)) rules.push(`-j ${serviceChain(port)}`);
        else {
          rules.push(`-j ${localChain(port)}`);
          nat.set(localChain(port), balance(port, port.external));
        }
      }
      nat.set(externalChain(port), rules);
    }
    for (const address of port.externalIps) {
      const match = `-d ${address} ${portMatch(protocol, port.port)}`;
      if (port.external.length > 0 && port.firewall?.addresses.includes(address) === true) {
        // What does not come from there goes on as it came, and is dropped by the filter.
        const chain = firewallChain(port);
        nat.set(
          chain,
          port.firewall.sources.map(
            (source) => `${comment(`${id} loadbalancer IP`)} -s ${source} -j ${externalChain(port)}`,
          ),
        );
        services.push(`${comment(`${id} loadbalancer IP`)} ${match} -j ${chain}`);
        guarded.push(`${comment(`${id} traffic not accepted by ${chain}`)} ${match} -j DROP`);
      } else if (port.external.length > 0)
        services.push(`${comment(`${id} external IP`)} ${match} -j ${externalChain(port)}`);
      else refuse(match, `${id} has no ${port.hasAnyEndpoint ? "local " : ""}endpoints`);
    }
    if (port.nodePort !== 0) {
      const match = portMatch(protocol, port.nodePort);
      if (port.external.length > 0) nodePorts.push(`${comment(id)} ${match} -j ${externalChain(port)}`);
      else
        refuse(`-m addrtype --dst-type LOCAL ${match}`, `${id} has no ${port.hasAnyEndpoint ? "local " : ""}endpoints`);
    }
  }
  for (const endpoint of [...port.internal, ...port.external]) addEndpoint(port, endpoint, nat);
}

const sameEndpoints = (port: ServicePort): boolean =>
  port.internal.length === port.external.length &&
  port.internal.every(
    (endpoint, i) => endpoint.address === port.external[i]?.address && endpoint.port === port.external[i].port,
  );

function masqueradeRules(port: ServicePort, options: RuleOptions, match: string): string[] {
  const text = comment(`${port.id} cluster IP`);
  if (options.masqueradeAll) return [`${text} ${match} -j KUBE-MARK-MASQ`];
  if (options.clusterCidr === undefined) return [];
  return [`${text} ! -s ${options.clusterCidr} ${match} -j KUBE-MARK-MASQ`];
}

function balance(port: ServicePort, endpoints: readonly Endpoint[]): string[] {
  const rules: string[] = [];
  if (port.affinitySeconds !== undefined) {
    for (const endpoint of endpoints) {
      const chain = endpointChain(port, endpoint);
      rules.push(
        `${comment(`${port.id} -> ${endpoint.address}:${endpoint.port}`)} -m recent --name ${chain} --rcheck --seconds ${port.affinitySeconds} --reap -j ${chain}`,
      );
    }
  }
  endpoints.forEach((endpoint, i) => {
    rules.push(
      `${comment(`${port.id} -> ${endpoint.address}:${endpoint.port}`)}${spread(endpoints.length, i)} -j ${endpointChain(port, endpoint)}`,
    );
  });
  return rules;
}

function addEndpoint(port: ServicePort, endpoint: Endpoint, nat: Map<string, string[]>): void {
  const chain = endpointChain(port, endpoint);
  const affinity = port.affinitySeconds === undefined ? "" : ` -m recent --name ${chain} --set`;
  nat.set(chain, [
    // A pod that reaches itself through the service must see another source, or the answer takes a short cut.
    `${comment(port.id)} -s ${endpoint.address} -j KUBE-MARK-MASQ`,
    `${comment(port.id)}${affinity} -m ${port.protocol} -p ${port.protocol} -j DNAT --to-destination ${endpoint.address}:${endpoint.port}`,
  ]);
}
