import { hostname } from "node:os";
import { readFileSync } from "node:fs";
import { systemRandom } from "@coracle/base";
import { runNodeRoutes } from "@coracle/cni";
import { parseClusterDnsFlags, runClusterDns } from "@coracle/cluster-dns";
import { parseKubeProxyFlags, removeKubeProxyRules, runKubeProxy } from "@coracle/kube-proxy";
import { parseKubeletFlags, runKubelet } from "@coracle/kubelet";
import { DNS_NODE_PORT } from "../addons/dns-objects.ts";
import { cloudRoutes } from "../cloud.ts";
import { clusterPaths } from "../cluster-config.ts";
import { nodeAddress } from "../node-address.ts";
import { prepareNodeNetwork } from "../node-network.ts";
import { clientOf, runAloneComponent, withFlags } from "./alone.ts";
import { isSupervised, runSupervised } from "./process-main.ts";

/** Runs one of this bundle's components by itself. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  if (component === "kubelet") return await runKubeletAlone(args);
  if (component === "kube-proxy") {
    const flags = withFlags(component, () => parseKubeProxyFlags(args));
    return await runAloneComponent(component, flags.verbosity, async (context) => {
      if (flags.cleanup) return await removeKubeProxyRules();
      const colon = flags.healthzBindAddress.lastIndexOf(":");
      await using client = await clientOf(flags.kubeconfig, component);
      await runKubeProxy({
        ...flags,
        ...context,
        client,
        nodeName: flags.hostname ?? hostname().toLowerCase(),
        healthzAddress: flags.healthzBindAddress.slice(0, colon),
        healthzPort: Number(flags.healthzBindAddress.slice(colon + 1)),
      });
    });
  }
  const flags = withFlags(component, () => parseClusterDnsFlags(args));
  return await runAloneComponent(component, flags.verbosity, async (context) => {
    await using client = await clientOf(flags.kubeconfig, component);
    await runClusterDns({
      ...flags,
      ...context,
      client,
      forwardTo: flags.forwardTo.length === 0 ? undefined : flags.forwardTo,
    });
  });
}

async function runKubeletAlone(args: readonly string[]): Promise<number> {
  const flags = withFlags("kubelet", () => parseKubeletFlags(args));
  return await runAloneComponent("kubelet", 0, async (context) => {
    const { tlsCertFile, tlsPrivateKeyFile, clientCaFile, nodeIps } = flags;
    const hasTls = tlsCertFile !== undefined && tlsPrivateKeyFile !== undefined && clientCaFile !== undefined;
    const address = nodeAddress();
    await using client = await clientOf(flags.kubeconfig, "kubelet");
    await runKubelet({
      ...context,
      client,
      criEndpoint: flags.containerRuntimeEndpoint ?? "unix:///run/containerd/containerd.sock",
      nodeName: flags.nodeName,
      nodeIps: nodeIps.length > 0 ? nodeIps : address === undefined ? [] : [address],
      rootDir: flags.rootDir,
      configuration: flags.configuration,
      tls: hasTls
        ? {
            cert: readFileSync(tlsCertFile),
            key: readFileSync(tlsPrivateKeyFile),
            clientCa: readFileSync(clientCaFile),
          }
        : undefined,
    });
  });
}

if (isSupervised()) {
  void runSupervised("node", async ({ config, nodeName, clock, logger, signal, ready, apiServerIsUp }) => {
    const node = config.nodes.find((each) => each.name === nodeName);
    if (node === undefined) throw new Error(`the cluster has no node named ${nodeName}`);
    const paths = clusterPaths(config);
    const files = paths.node(node.name);
    const deps = { clock, random: systemRandom, signal };
    await Promise.all([prepareNodeNetwork(config, node), apiServerIsUp()]);

    await using kubeletClient = await clientOf(paths.kubeconfig(`kubelet-${node.name}`), "kubelet");
    await using proxyClient = await clientOf(paths.kubeconfig(`kube-proxy-${node.name}`), "kube-proxy");
    const kubelet = runKubelet({
      ...deps,
      client: kubeletClient,
      logger: logger.child({ component: "kubelet" }),
      criEndpoint: config.runtime.startsWith("unix://") ? config.runtime : `unix://${files.criSocket}`,
      nodeName: node.name,
      nodeIps: [node.address],
      rootDir: files.kubelet,
      configuration: {
        port: node.kubeletPort,
        clusterDNS: config.addons ? [config.clusterDnsAddress] : [],
        clusterDomain: config.clusterDomain,
        cgroupRoot: `/coracle-${config.name}${config.nodes.length > 1 ? `/${node.name}` : ""}`,
        podLogsDir: files.podLogs,
        staticPodPath: files.manifests,
        serializeImagePulls: false,
        ...(config.cloud === undefined ? {} : { cloudProvider: "external", providedNodeIPs: [node.address] }),
      },
      tls: {
        cert: readFileSync(`${paths.pki}/node-${node.name}-serving.crt`),
        key: readFileSync(`${paths.pki}/node-${node.name}-serving.key`),
        clientCa: readFileSync(`${paths.pki}/ca.crt`),
      },
      onReady: ready,
    });
    const proxy = runKubeProxy({
      ...deps,
      client: proxyClient,
      logger: logger.child({ component: "kube-proxy" }),
      nodeName: node.name,
      mode: config.proxyMode === "nftables" ? "nftables" : "iptables",
      clusterCidr: config.podCidr,
    });
    const dns = async (): Promise<void> => {
      if (!node.hasDns) return;
      await using client = await clientOf(paths.kubeconfig("cluster-dns"), "cluster-dns");
      await runClusterDns({
        ...deps,
        client,
        logger: logger.child({ component: "cluster-dns" }),
        address: node.address,
        port: DNS_NODE_PORT,
        clusterDomain: config.clusterDomain,
      });
    };
    const routes = async (): Promise<void> => {
      if (node.networkNamespace === undefined || cloudRoutes(config)) return;
      await runNodeRoutes({
        ...deps,
        client: proxyClient,
        nodeName: node.name,
        logger: logger.child({ component: "cni" }),
      });
    };
    await Promise.all([kubelet, proxy, dns(), routes()]);
  });
}
