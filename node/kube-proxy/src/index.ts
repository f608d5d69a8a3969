/** Services as packet rules: iptables or nftables, changed chain by chain. */
export { removeKubeProxyRules, runKubeProxy, type KubeProxyOptions } from "./run-kube-proxy.ts";
