import { flag, parseFlags, type FlagValues } from "@coracle/base";

const FLAGS = {
  kubeconfig: flag.string("kubeconfig", undefined),
  mode: flag.choice("proxy-mode", "iptables", ["iptables", "nftables"]),
  clusterCidr: flag.string("cluster-cidr", undefined),
  hostname: flag.string("hostname-override", undefined),
  masqueradeAll: flag.boolean("masquerade-all", false),
  masqueradeBit: flag.number("iptables-masquerade-bit", 14),
  localhostNodePorts: flag.boolean("iptables-localhost-nodeports", true),
  minSyncMs: flag.durationMs(["iptables-min-sync-period", "nftables-min-sync-period"], 50),
  healthzBindAddress: flag.string("healthz-bind-address", "0.0.0.0:10256"),
  /** Remove all rules and end. */
  cleanup: flag.boolean("cleanup", false),
  verbosity: flag.number("v", 0),
};

/** What kube-proxy is told on its command line. */
export type KubeProxyFlags = FlagValues<typeof FLAGS>;

/** Reads upstream's flags. Throws UsageError. */
export const parseKubeProxyFlags = (argv: readonly string[]): KubeProxyFlags => parseFlags(FLAGS, argv);
