/** KubeletConfiguration (kubelet.config.k8s.io/v1beta1): the fields that are honoured, with upstream's names. */
export interface KubeletConfiguration {
  readonly address: string;
  readonly port: number;
  readonly healthzBindAddress: string;
  /** 0 turns the health port off. */
  readonly healthzPort: number;
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  readonly maxPods: number;
  readonly nodeLeaseDurationSeconds: number;
  readonly nodeStatusReportFrequencySeconds: number;
  readonly cgroupRoot: string;
  readonly cpuCFSQuota: boolean;
  readonly resolvConf: string;
  readonly serializeImagePulls: boolean;
  readonly runtimeRequestTimeoutSeconds: number;
  readonly imagePullTimeoutSeconds: number;
  readonly containerLogMaxSize: string;
  readonly containerLogMaxFiles: number;
  readonly staticPodPath: string | undefined;
  readonly podLogsDir: string;
  readonly registerNode: boolean;
  readonly registerWithTaints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly systemReserved: Readonly<Record<string, string>>;
  readonly kubeReserved: Readonly<Record<string, string>>;
  readonly crashLoopMaxBackoffSeconds: number;
  readonly imageMinimumGCAgeSeconds: number;
  readonly imageGCHighThresholdPercent: number;
  readonly imageGCLowThresholdPercent: number;
  readonly anonymousAuth: boolean;
  /** `external`: a cloud-controller-manager says what the node is. */
  readonly cloudProvider: "" | "external";
  readonly providerID: string;
  /** What `--node-ip` says: a cloud must know these addresses. */
  readonly providedNodeIPs: readonly string[];
}

/** Upstream's defaults; pods' cgroups are below the root cgroup. */
export const DEFAULT_CONFIGURATION: KubeletConfiguration = {
  address: "0.0.0.0",
  port: 10250,
  healthzBindAddress: "127.0.0.1",
  healthzPort: 10248,
  clusterDNS: [],
  clusterDomain: "cluster.local",
  maxPods: 110,
  nodeLeaseDurationSeconds: 40,
  nodeStatusReportFrequencySeconds: 300,
  cgroupRoot: "/",
  cpuCFSQuota: true,
  resolvConf: "/etc/resolv.conf",
  serializeImagePulls: true,
  runtimeRequestTimeoutSeconds: 120,
  imagePullTimeoutSeconds: 3600,
  containerLogMaxSize: "10Mi",
  containerLogMaxFiles: 5,
  staticPodPath: undefined,
  podLogsDir: "/var/log/pods",
  registerNode: true,
  registerWithTaints: [],
  nodeLabels: {},
  systemReserved: {},
  kubeReserved: {},
  crashLoopMaxBackoffSeconds: 300,
  imageMinimumGCAgeSeconds: 120,
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  anonymousAuth: false,
  cloudProvider: "",
  providerID: "",
  providedNodeIPs: [],
};
