/** How far a kind is: it does what upstream's does, a part of it, it is checked and stored and nothing acts on it, or it is not answered. */
export type State = "works" | "partly" | "stored" | "not yet";

export interface ResourceNote {
  readonly state: State;
  /** Controllers or components that act on it; names of controllers as `--controllers` has them. */
  readonly by?: readonly string[];
  readonly note?: string;
}

/** What the tables cannot say of a served resource. Keys: `GROUP/VERSION/PLURAL`, core without the group. */
export const RESOURCE_NOTES: Readonly<Record<string, ResourceNote>> = {
  "v1/bindings": { state: "works", by: ["kube-apiserver"] },
  "v1/componentstatuses": {
    state: "works",
    note: "made when asked for; scheduler and controllers are healthy while they renew their leases",
  },
  "v1/configmaps": { state: "works", by: ["root-ca-certificate-publisher-controller", "kubelet"] },
  "v1/endpoints": { state: "works", by: ["endpoints-controller"] },
  "v1/events": { state: "works", by: ["kube-apiserver"], note: "kept for an hour, or as `--event-ttl` says" },
  "v1/limitranges": { state: "works", by: ["LimitRanger (admission)"] },
  "v1/namespaces": { state: "works", by: ["namespace-controller", "NamespaceLifecycle (admission)"] },
  "v1/nodes": {
    state: "works",
    by: ["kubelet", "node-lifecycle-controller", "node-ipam-controller", "taint-eviction-controller"],
  },
  "v1/persistentvolumeclaims": {
    state: "partly",
    by: ["persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller"],
    note: "hostPath and local volumes can be mounted",
  },
  "v1/persistentvolumes": {
    state: "partly",
    by: ["persistentvolume-binder-controller", "persistentvolume-protection-controller"],
    note: "bound and reclaimed; provisioners are brought along",
  },
  "v1/pods": {
    state: "works",
    by: ["kubelet", "kube-scheduler", "pod-garbage-collector-controller"],
  },
  "v1/podtemplates": { state: "works" },
  "v1/replicationcontrollers": { state: "works", by: ["replicationcontroller-controller"] },
  "v1/resourcequotas": { state: "works", by: ["resourcequota-controller", "ResourceQuota (admission)"] },
  "v1/secrets": { state: "works", by: ["kubelet"] },
  "v1/serviceaccounts": {
    state: "works",
    by: ["serviceaccount-controller", "serviceaccount-token-controller", "ServiceAccount (admission)"],
  },
  "v1/services": {
    state: "works",
    by: ["endpointslice-controller", "kube-proxy", "cluster-dns"],
    note: "LoadBalancer gets an address where there is a cloud (`--cloud-provider`); IPv4 only in the node",
  },
  "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": { state: "works", by: ["kube-apiserver"] },
  "admissionregistration.k8s.io/v1/validatingwebhookconfigurations": { state: "works", by: ["kube-apiserver"] },
  "admissionregistration.k8s.io/v1/validatingadmissionpolicies": {
    state: "works",
    by: ["kube-apiserver", "validatingadmissionpolicy-status-controller"],
  },
  "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": { state: "works", by: ["kube-apiserver"] },
  "apiextensions.k8s.io/v1/customresourcedefinitions": { state: "works", by: ["kube-apiserver"] },
  "apiregistration.k8s.io/v1/apiservices": { state: "works", by: ["kube-apiserver"] },
  "apps/v1/controllerrevisions": { state: "works", by: ["daemonset-controller", "statefulset-controller"] },
  "apps/v1/daemonsets": { state: "works", by: ["daemonset-controller"] },
  "apps/v1/deployments": { state: "works", by: ["deployment-controller"] },
  "apps/v1/replicasets": { state: "works", by: ["replicaset-controller"] },
  "apps/v1/statefulsets": { state: "works", by: ["statefulset-controller"] },
  "authentication.k8s.io/v1/selfsubjectreviews": { state: "works", by: ["kube-apiserver"] },
  "authentication.k8s.io/v1/tokenreviews": { state: "works", by: ["kube-apiserver"] },
  "authorization.k8s.io/v1/localsubjectaccessreviews": { state: "works", by: ["kube-apiserver"] },
  "authorization.k8s.io/v1/selfsubjectaccessreviews": { state: "works", by: ["kube-apiserver"] },
  "authorization.k8s.io/v1/selfsubjectrulesreviews": { state: "works", by: ["kube-apiserver"] },
  "authorization.k8s.io/v1/subjectaccessreviews": { state: "works", by: ["kube-apiserver"] },
  "autoscaling/v1/horizontalpodautoscalers": {
    state: "works",
    by: ["horizontal-pod-autoscaler-controller"],
    note: "converted to and from v2",
  },
  "autoscaling/v2/horizontalpodautoscalers": { state: "works", by: ["horizontal-pod-autoscaler-controller"] },
  "batch/v1/cronjobs": { state: "works", by: ["cronjob-controller"] },
  "batch/v1/jobs": { state: "works", by: ["job-controller", "ttl-after-finished-controller"] },
  "certificates.k8s.io/v1/certificatesigningrequests": {
    state: "works",
    by: [
      "certificatesigningrequest-signing-controller",
      "certificatesigningrequest-approving-controller",
      "certificatesigningrequest-cleaner-controller",
    ],
  },
  "coordination.k8s.io/v1/leases": { state: "works", by: ["kubelet", "leader election"] },
  "discovery.k8s.io/v1/endpointslices": {
    state: "works",
    by: ["endpointslice-controller", "endpointslice-mirroring-controller"],
  },
  "events.k8s.io/v1/events": { state: "works", by: ["kube-apiserver"], note: "the same objects as v1/events" },
  "flowcontrol.apiserver.k8s.io/v1/flowschemas": { state: "works", by: ["kube-apiserver"] },
  "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": { state: "works", by: ["kube-apiserver"] },
  "networking.k8s.io/v1/ingressclasses": { state: "works", by: ["DefaultIngressClass (admission)"] },
  "networking.k8s.io/v1/ingresses": { state: "stored", note: "bring an ingress controller" },
  "networking.k8s.io/v1/ipaddresses": {
    state: "works",
    by: ["kube-apiserver"],
    note: "one for each cluster IP; repaired on drift",
  },
  "networking.k8s.io/v1/networkpolicies": { state: "stored", note: "not enforced" },
  "networking.k8s.io/v1/servicecidrs": {
    state: "works",
    by: ["kube-apiserver", "service-cidr-controller"],
    note: "addresses come from all that are ready",
  },
  "node.k8s.io/v1/runtimeclasses": {
    state: "partly",
    by: ["RuntimeClass (admission)"],
    note: "overhead and scheduling; the kubelet takes no handler",
  },
  "policy/v1/poddisruptionbudgets": { state: "works", by: ["disruption-controller", "pods/eviction"] },
  "rbac.authorization.k8s.io/v1/clusterrolebindings": { state: "works", by: ["RBAC authorizer"] },
  "rbac.authorization.k8s.io/v1/clusterroles": {
    state: "works",
    by: ["RBAC authorizer", "clusterrole-aggregation-controller"],
  },
  "rbac.authorization.k8s.io/v1/rolebindings": { state: "works", by: ["RBAC authorizer"] },
  "rbac.authorization.k8s.io/v1/roles": { state: "works", by: ["RBAC authorizer"] },
  "resource.k8s.io/v1/deviceclasses": { state: "works", by: ["kube-scheduler"] },
  "resource.k8s.io/v1/resourceclaims": {
    state: "partly",
    by: ["kube-scheduler", "resourceclaim-controller"],
    note: "allocated; nothing on the node prepares devices",
  },
  "resource.k8s.io/v1/resourceclaimtemplates": { state: "works", by: ["resourceclaim-controller"] },
  "resource.k8s.io/v1/resourceslices": { state: "stored" },
  "scheduling.k8s.io/v1/priorityclasses": { state: "works", by: ["Priority (admission)", "kube-scheduler"] },
  "storage.k8s.io/v1/csidrivers": { state: "stored", note: "no CSI in the kubelet" },
  "storage.k8s.io/v1/csinodes": { state: "stored" },
  "storage.k8s.io/v1/csistoragecapacities": { state: "stored" },
  "storage.k8s.io/v1/storageclasses": {
    state: "partly",
    by: ["DefaultStorageClass (admission)"],
    note: "nothing provisions",
  },
  "storage.k8s.io/v1/volumeattachments": { state: "works", by: ["persistentvolume-attach-detach-controller"] },
  "storage.k8s.io/v1/volumeattributesclasses": {
    state: "stored",
    by: ["volumeattributesclass-protection-controller"],
    note: "no volume is changed",
  },
};
