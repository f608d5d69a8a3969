import { flag, parseFlags, type FlagValues } from "@coracle/base";

const FLAGS = {
  kubeconfig: flag.string("kubeconfig", undefined),
  address: flag.string("bind-address", "0.0.0.0"),
  port: flag.number("port", 53),
  clusterDomain: flag.string("cluster-domain", "cluster.local"),
  /** Servers for other names; empty: those of --resolv-conf. */
  forwardTo: flag.list("forward-to"),
  resolvConf: flag.string("resolv-conf", "/etc/resolv.conf"),
  verbosity: flag.number("v", 0),
};

/** What cluster-dns is told on its command line. */
export type ClusterDnsFlags = FlagValues<typeof FLAGS>;

/** Reads the flags. Throws UsageError. */
export const parseClusterDnsFlags = (argv: readonly string[]): ClusterDnsFlags => parseFlags(FLAGS, argv);
