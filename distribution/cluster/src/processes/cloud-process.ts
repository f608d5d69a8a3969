import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { systemRandom } from "@coracle/base";
import { ClientMetrics } from "@coracle/client";
import {
  CloudMetrics,
  defaultFlags,
  parseCloudControllerManagerFlags,
  runCloudControllerManager,
} from "@coracle/cloud-controller-manager";
import { cloudRoutes, localCloudConfig } from "../cloud.ts";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";
import { isNamespaced } from "../cluster-network.ts";
import { anonymousTransport, clientOf, runAloneComponent, withFlags } from "./alone.ts";
import { serveByFlags } from "./component-endpoint.ts";
import { isSupervised, runSupervised } from "./process-main.ts";

/** Nodes here are this machine or parts of it, and nobody else changes their routes: drift is looked for now and then. */
const ROUTE_PERIOD_MS = 300_000;

/** Runs cloud-controller-manager by itself. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = withFlags(component, () => parseCloudControllerManagerFlags(args));
  return await runAloneComponent(component, flags.verbosity, async (context) => {
    const clientMetrics = flags.securePort === 0 ? undefined : new ClientMetrics(context.clock);
    await using client = await clientOf(flags.kubeconfig, component, { metrics: clientMetrics });
    const metrics = new CloudMetrics(context.clock);
    await using _endpoint = await serveByFlags(flags, {
      ...context,
      client,
      pages: { "/metrics": () => metrics.text() + (clientMetrics?.text() ?? "") },
    });
    await using anonymous = await anonymousTransport(flags.kubeconfig ?? "", clientMetrics);
    await runCloudControllerManager({
      ...context,
      client,
      flags,
      metrics,
      clientMetrics,
      anonymousTransport: anonymous,
    });
  });
}

/** What the provider is told: the user's file, or what `local` needs to know of the cluster. */
function toldOf(config: ClusterConfig): string | undefined {
  const { configFile, provider } = config.cloud ?? {};
  if (configFile !== undefined) return readFileSync(configFile, "utf8");
  return provider === "local" ? localCloudConfig(config) : undefined;
}

if (isSupervised()) {
  void runSupervised("cloud", async ({ config, clock, logger, signal, ready, apiServerIsUp }) => {
    const { cloud } = config;
    if (cloud === undefined) throw new Error("the cluster has no cloud");
    await apiServerIsUp();
    const kubeconfig = clusterPaths(config).kubeconfig("cloud-controller-manager");
    await using client = await clientOf(kubeconfig, "cloud-controller-manager");
    await using anonymous = await anonymousTransport(kubeconfig);
    ready();
    await runCloudControllerManager({
      client,
      clock,
      random: systemRandom,
      logger: logger.child({ component: "cloud-controller-manager" }),
      signal,
      // The supervisor starts one such process after another, never two: a successor need not wait for the lease to end.
      // But requests of one that was killed may still be on their way to a cloud elsewhere.
      identity: cloud.provider === "local" ? `${hostname()}_${config.name}` : undefined,
      anonymousTransport: anonymous,
      config: toldOf(config),
      flags: {
        ...defaultFlags,
        cloudProvider: cloud.provider,
        useServiceAccountCredentials: true,
        clusterCidr: [config.podCidr],
        // Nodes in namespaces have no other routes than those; a provider of the user's cannot reach these kernels.
        configureCloudRoutes: cloudRoutes(config) || !isNamespaced(config),
        routeReconciliationPeriodMs: ROUTE_PERIOD_MS,
      },
    });
  });
}
