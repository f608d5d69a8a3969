/** Services as packet rules: iptables or nftables, changed chain by chain. */
export { parseKubeProxyFlags, type KubeProxyFlags } from "./flags.ts";
export { removeKubeProxyRules, runKubeProxy, type KubeProxyOptions } from "./run-kube-proxy.ts";
