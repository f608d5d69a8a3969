import type { ServiceAccount, Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { ClusterRole, ClusterRoleBinding } from "@coracle/api/rbac/v1";
import type { ClusterConfig } from "../cluster-config.ts";

/** Port that cluster-dns listens on at the node's address: 53 there may be somebody else's. */
export const DNS_NODE_PORT = 10_053;

/** User that cluster-dns is. */
export const DNS_SERVICE_ACCOUNT = { namespace: "kube-system", name: "coredns" } as const;

/** What the cluster must hold for DNS: who the server is, what it may read, and the service that leads to it. */
export function dnsObjects(config: ClusterConfig) {
  const { namespace, name } = DNS_SERVICE_ACCOUNT;
  const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };
  const serviceAccount: ServiceAccount = { metadata: { namespace, name } };
  const role: ClusterRole = {
    metadata: { name: "system:coredns", labels },
    rules: [
      { apiGroups: [""], resources: ["endpoints", "services", "pods", "namespaces"], verbs: ["list", "watch"] },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
    ],
  };
  const binding: ClusterRoleBinding = {
    metadata: { name: "system:coredns", labels },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:coredns" },
    subjects: [{ kind: "ServiceAccount", namespace, name }],
  };
  const service: Service = {
    metadata: {
      namespace,
      name: "kube-dns",
      labels: { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" },
    },
    spec: {
      type: "ClusterIP",
      clusterIP: config.clusterDnsAddress,
      clusterIPs: [config.clusterDnsAddress],
      ports: [
        { name: "dns", port: 53, protocol: "UDP", targetPort: DNS_NODE_PORT },
        { name: "dns-tcp", port: 53, protocol: "TCP", targetPort: DNS_NODE_PORT },
      ],
    },
  };
  const slice: EndpointSlice = {
    metadata: {
      namespace,
      name: "kube-dns-nodes",
      labels: { "kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "coracle" },
    },
    addressType: "IPv4",
    ports: [
      { name: "dns", port: DNS_NODE_PORT, protocol: "UDP" },
      { name: "dns-tcp", port: DNS_NODE_PORT, protocol: "TCP" },
    ],
    endpoints: config.nodes
      .filter((node) => node.hasDns)
      .map((node) => ({
        addresses: [node.address],
        nodeName: node.name,
        conditions: { ready: true, serving: true, terminating: false },
      })),
  };
  return { serviceAccount, role, binding, service, slice };
}
