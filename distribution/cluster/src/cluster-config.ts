import { join } from "node:path";

export type ProxyMode = "iptables" | "nftables" | "ipvs";

/** What `coracle up` was asked for, with every default filled in; kept in the data directory and read by each process. */
export interface ClusterConfig {
  readonly name: string;
  readonly dataDir: string;
  /** Sockets, pids, container state: meaningless after a reboot. */
  readonly runDir: string;
  /** Remove `dataDir` at `down`. */
  readonly ephemeral: boolean;
  readonly nodes: readonly NodeConfig[];
  readonly securePort: number;
  /** Address that pods and nodes reach the API server at. */
  readonly advertiseAddress: string;
  readonly kubeconfig: string;
  readonly store: "embedded" | "memory";
  /** `auto`, `crun`, `runc`, or `unix:///…` of another CRI runtime. */
  readonly runtime: string;
  readonly proxyMode: ProxyMode;
  readonly addons: boolean;
  /** Absent: nobody has a cloud, and LoadBalancers get no address. */
  readonly cloud?: CloudConfig | undefined;
  readonly serviceCidr: string;
  readonly podCidr: string;
  readonly clusterDomain: string;
  readonly clusterDnsAddress: string;
  readonly logLevel: "debug" | "info";
  /** Nobody's terminal: a supervisor that was killed is started again by the container runtime's process. */
  readonly isDetached: boolean;
}

export interface CloudConfig {
  /** `local`, or the path of a provider's module. */
  readonly provider: string;
  /** File that the provider is told the content of; absent: what `local` needs follows from the nodes and the pool. */
  readonly configFile?: string | undefined;
  /** Ranges of addresses for load balancers; none: they are reached at the nodes' own ports. */
  readonly addressPool: readonly string[];
}

export interface NodeConfig {
  readonly name: string;
  readonly address: string;
  /** Path of the network namespace the node lives in; absent: that of `coracle up`. */
  readonly networkNamespace?: string | undefined;
  /** Whether the cluster's DNS server runs here. */
  readonly hasDns: boolean;
  readonly kubeletPort: number;
}

/** Where the parts of a cluster keep their files. */
export function clusterPaths(config: Pick<ClusterConfig, "dataDir" | "runDir">) {
  const { dataDir, runDir } = config;
  return {
    config: join(dataDir, "cluster.json"),
    pki: join(dataDir, "pki"),
    store: join(dataDir, "etcd"),
    logs: join(dataDir, "logs"),
    state: join(runDir, "state.json"),
    kubeconfig: (user: string): string => join(dataDir, "kubeconfig", user),
    node: (name: string) => ({
      kubelet: join(dataDir, "nodes", name, "kubelet"),
      podLogs: join(dataDir, "nodes", name, "log"),
      containers: join(dataDir, "nodes", name, "containers"),
      network: join(dataDir, "nodes", name, "network"),
      manifests: join(dataDir, "nodes", name, "manifests"),
      containerState: join(runDir, "nodes", name, "containers"),
      criSocket: join(runDir, "nodes", name, "cri.sock"),
    }),
  };
}

/** The n-th address of an IPv4 range: `nthAddress("10.96.0.0/16", 10)` is 10.96.0.10. */
export function nthAddress(cidr: string, n: number): string {
  const [base = ""] = cidr.split("/");
  const value = base.split(".").reduce((sum, part) => sum * 256 + Number(part), 0) + n;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}
