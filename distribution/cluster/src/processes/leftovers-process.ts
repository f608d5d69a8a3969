import { once } from "node:events";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { removeBalancerAddresses } from "@coracle/cloud-controller-manager";
import { openPodNetwork, removePodNetworkData } from "@coracle/cni";
import { removeEverything } from "@coracle/container-runtime";
import { removeKubeProxyRules } from "@coracle/kube-proxy";
import { detectCgroups, removeCgroup, restoreUnifiedControllers, unmountTree } from "@coracle/linux";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";
import { isNamespaced, removeClusterNetwork } from "../cluster-network.ts";
import { restoreNodeNetwork } from "../node-network.ts";

/** Removes all that the nodes of a cluster made on this host; each step runs whatever became of the others. */
async function removeLeftovers(config: ClusterConfig): Promise<unknown[]> {
  const failures: unknown[] = [];
  const attempt = async (step: () => Promise<unknown>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  };
  // Nodes in namespaces made nothing in this one; a cluster beside them may have.
  const isHere = !isNamespaced(config);
  const rules = isHere ? attempt(removeKubeProxyRules) : undefined;
  for (const { name, networkNamespace } of config.nodes) {
    const node = clusterPaths(config).node(name);
    const folders = { stateDir: node.containerState, rootDir: node.containers };
    if (networkNamespace === undefined) {
      const network = await openPodNetwork({ dataDir: node.network, masqueradeOutside: config.podCidr });
      await attempt(() => removeEverything({ ...folders, network }));
      await attempt(() => network.close());
    } else {
      // Links and rules go with the node's namespace; addresses are given anew with the next one.
      await attempt(() => removeEverything(folders));
      await attempt(() => removePodNetworkData(node.network));
    }
    await attempt(() => unmountTree(join(config.dataDir, "nodes", name)));
  }
  await attempt(async () => removeCgroup(await detectCgroups(), `/coracle-${config.name}`));
  await attempt(restoreUnifiedControllers);
  await rules;
  const { cloud } = config;
  if (cloud !== undefined && isHere) await attempt(() => removeBalancerAddresses(cloud.addressPool));
  await attempt(() => removeClusterNetwork(config));
  await attempt(() => restoreNodeNetwork(config));
  return failures;
}

const config = JSON.parse(
  readFileSync(process.argv[process.argv.indexOf("--cluster") + 1] ?? "", "utf8"),
) as ClusterConfig;

/** Whoever started this process ends its standard input when the node's own processes are gone. */
async function untilNodeHasEnded(): Promise<void> {
  process.stdin.resume();
  await once(process.stdin, "end");
}

void untilNodeHasEnded()
  .then(() => removeLeftovers(config))
  .then((failures) => {
    for (const failure of failures)
      process.stderr.write(`${failure instanceof Error ? (failure.stack ?? failure.message) : String(failure)}\n`);
    process.exit(failures.length === 0 ? 0 : 1);
  });
