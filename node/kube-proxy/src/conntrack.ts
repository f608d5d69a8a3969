import type { ServicePort } from "./services/service-port.ts";

/** Arguments of `conntrack -D` that make UDP flows find their new endpoint; TCP notices by itself. */
export function staleFlows(
  before: ReadonlyMap<string, ServicePort>,
  after: ReadonlyMap<string, ServicePort>,
): string[][] {
  const commands: string[][] = [];
  const all = (port: ServicePort | undefined): Set<string> =>
    new Set([...(port?.internal ?? []), ...(port?.external ?? [])].map((endpoint) => endpoint.address));
  for (const [key, old] of before) {
    if (old.protocol !== "udp") continue;
    const current = after.get(key);
    const kept = all(current);
    for (const address of all(old)) {
      if (kept.has(address)) continue;
      for (const destination of [old.clusterIp, ...old.externalIps]) {
        commands.push(["-p", "udp", "--orig-dst", destination, "--dst-nat", address]);
      }
      if (old.nodePort !== 0) commands.push(["-p", "udp", "--dport", String(old.nodePort), "--dst-nat", address]);
    }
  }
  for (const [key, current] of after) {
    // Flows that began while the service had no endpoint were tracked towards the service's own address.
    if (current.protocol !== "udp" || all(current).size === 0 || all(before.get(key)).size > 0) continue;
    for (const destination of [current.clusterIp, ...current.externalIps])
      commands.push(["-p", "udp", "--orig-dst", destination]);
    if (current.nodePort !== 0) commands.push(["-p", "udp", "--dport", String(current.nodePort)]);
  }
  return commands;
}
