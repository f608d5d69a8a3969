import type { Pod } from "@coracle/api/core/v1";
import type { DNSConfig } from "@coracle/api/cri";

/** How the node and the cluster resolve names. */
export interface DnsSettings {
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** The node's own resolv.conf. */
  readonly host: DNSConfig;
}

const MAX_SERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_TEXT = 2048;

/** Reads resolv.conf(5). */
export function parseResolvConf(text: string): DNSConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined) servers.push(values[0]);
    else if (keyword === "search") searches = values.filter((value) => value !== ".");
    else if (keyword === "options") options = values;
  }
  return { servers, searches, options };
}

/** What the pod's resolv.conf says. */
export function podDns(pod: Pod, settings: DnsSettings): DNSConfig {
  const { clusterDns, clusterDomain, host } = settings;
  const policy = pod.spec?.dnsPolicy ?? "ClusterFirst";
  const isCluster =
    clusterDns.length > 0 &&
    (policy === "ClusterFirstWithHostNet" || (policy === "ClusterFirst" && pod.spec?.hostNetwork !== true));
  let config: { servers: readonly string[]; searches: readonly string[]; options: readonly string[] } = {
    servers: host.servers ?? [],
    searches: host.searches ?? [],
    options: host.options ?? [],
  };
  if (policy === "None") config = { servers: [], searches: [], options: [] };
  else if (isCluster) {
    const own =
      clusterDomain === ""
        ? []
        : [`${pod.metadata.namespace ?? "default"}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
    config = {
      servers: clusterDns,
      searches: [...own, ...(host.searches ?? [])],
      options: [...new Set(["ndots:5", ...(host.options ?? []).filter((option) => !option.startsWith("ndots:"))])],
    };
  }
  const extra = pod.spec?.dnsConfig;
  const options = new Map(config.options.map((option) => [option.split(":")[0] ?? option, option]));
  for (const { name = "", value } of extra?.options ?? []) {
    options.set(name, value === undefined || value === "" ? name : `${name}:${value}`);
  }
  return {
    servers: [...new Set([...config.servers, ...(extra?.nameservers ?? [])])].slice(0, MAX_SERVERS),
    searches: withinLimit([...new Set([...config.searches, ...(extra?.searches ?? [])])]),
    options: [...options.values()],
  };
}

function withinLimit(searches: readonly string[]): string[] {
  const out: string[] = [];
  let length = 0;
  for (const search of searches.slice(0, MAX_SEARCHES)) {
    length += search.length + 1;
    if (length > MAX_SEARCH_TEXT) break;
    out.push(search);
  }
  return out;
}
