import { Node } from "@coracle/api/core/v1";
import type { CloudProvider, CloudProviderContext } from "../provider/cloud-provider.ts";
import { LocalBalancers } from "./balancers.ts";
import { parseLocalConfiguration } from "./configuration.ts";
import { createLocalInstances, createMachines } from "./machines.ts";
import { createLocalRoutes } from "./routes.ts";

/**
 * The provider for people without a cloud: nodes are this machine and network namespaces on it, load balancers are
 * addresses of a pool on their links, routes are the kernel's. Throws when the configuration is wrong.
 */
export async function createLocalProvider(context: CloudProviderContext): Promise<CloudProvider> {
  const configuration = await parseLocalConfiguration(context.config);
  const machines = createMachines(configuration);
  const nodes = context.informers.informer(Node);
  const loadBalancers = new LocalBalancers(configuration, machines, context);
  return {
    name: "local",
    instances: createLocalInstances(configuration, machines),
    routes: createLocalRoutes(configuration, machines, () => nodes.lister.list()),
    loadBalancers,
    [Symbol.asyncDispose]: () => loadBalancers[Symbol.asyncDispose](),
  };
}
