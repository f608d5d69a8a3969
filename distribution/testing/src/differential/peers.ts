const {
  CORACLE_PEER_KUBE_APISERVER: kubeApiserver = "",
  CORACLE_PEER_KUBE_CONTROLLER_MANAGER: kubeControllerManager = "",
  CORACLE_PEER_KUBE_SCHEDULER: kubeScheduler = "",
  CORACLE_PEER_ETCD: etcd = "etcd",
} = process.env;

/** Paths of upstream's programs, by the variables CORACLE_PEER_…; an empty one is not at hand. */
export const peers = { kubeApiserver, kubeControllerManager, kubeScheduler, etcd } as const;
