import type { HostAlias, Pod } from "@coracle/api/core/v1";

const MAX_HOSTNAME = 63;

/** The pod's host name and, when it has one, its domain. */
export function podHostname(
  pod: Pod,
  clusterDomain: string,
): { readonly hostname: string; readonly domain: string | undefined } {
  const override = pod.spec?.hostnameOverride;
  if (override !== undefined) return { hostname: override, domain: undefined };
  const wanted = pod.spec?.hostname ?? "";
  let hostname = wanted === "" ? (pod.metadata.name ?? "") : wanted;
  if (hostname.length > MAX_HOSTNAME) hostname = hostname.slice(0, MAX_HOSTNAME).replace(/[-.]+$/, "");
  const subdomain = pod.spec?.subdomain ?? "";
  const domain = subdomain === "" ? undefined : `${subdomain}.${pod.metadata.namespace ?? ""}.svc.${clusterDomain}`;
  return { hostname, domain };
}

/** The pod's /etc/hosts. A pod on the node's network gets the node's own file with the aliases behind it. */
export function hostsFile(
  pod: Pod,
  ips: readonly string[],
  clusterDomain: string,
  nodeFile: string | undefined,
): string {
  const aliases = aliasLines(pod.spec?.hostAliases ?? []);
  if (nodeFile !== undefined) {
    return `# Kubernetes-managed hosts file (host network).\n${nodeFile}${aliases}`;
  }
  const { hostname, domain } = podHostname(pod, clusterDomain);
  let text =
    "# Kubernetes-managed hosts file.\n" +
    "127.0.0.1\tlocalhost\n" +
    "::1\tlocalhost ip6-localhost ip6-loopback\n" +
    "fe00::0\tip6-localnet\n" +
    "fe00::0\tip6-mcastprefix\n" +
    "fe00::1\tip6-allnodes\n" +
    "fe00::2\tip6-allrouters\n";
  for (const ip of ips)
    text += domain === undefined ? `${ip}\t${hostname}\n` : `${ip}\t${hostname}.${domain}\t${hostname}\n`;
  return text + aliases;
}

function aliasLines(aliases: readonly HostAlias[]): string {
  if (aliases.length === 0) return "";
  const lines = aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join("\t")}`);
  return `\n# Entries added by HostAliases.\n${lines.join("\n")}\n`;
}
