/** DNS for the cluster: services and pods after the Kubernetes DNS specification 1.1.0, everything else forwarded. */
export { parseClusterDnsFlags, type ClusterDnsFlags } from "./flags.ts";
export { runClusterDns, type ClusterDnsOptions } from "./run-cluster-dns.ts";
