import { readFileSync } from "node:fs";
import { Cleanup, systemClock, systemRandom, type Clock, type Logger, type Random } from "@coracle/base";
import {
  createInformerFactory,
  electionOf,
  runElected,
  type ApiClient,
  type ClientMetrics,
  type Transport,
} from "@coracle/client";
import { isSelected, runControllers, type Controller } from "@coracle/controller-kit";
import { controllers } from "./controllers.ts";
import { CONTROLLERS, type CloudControllerManagerFlags } from "./flags.ts";
import { CloudMetrics } from "./metrics.ts";
import type { CloudProviderFactory } from "./provider/cloud-provider.ts";
import { guardProvider, providerOf } from "./provider/guard-provider.ts";
import { loadProvider } from "./provider/load-provider.ts";

export interface CloudControllerManagerOptions {
  readonly client: ApiClient;
  /** Reaches the server without an identity; needed with `useServiceAccountCredentials`. */
  readonly anonymousTransport?: Transport | undefined;
  readonly flags: CloudControllerManagerFlags;
  /** Makes the provider; absent: what the flags name is loaded. */
  readonly provider?: CloudProviderFactory | undefined;
  /** What the provider is told; absent: the content of the file that the flags name. */
  readonly config?: string | undefined;
  /** Who holds the lease. Default: another for each run. */
  readonly identity?: string | undefined;
  /** Where to count; absent: nobody looks. */
  readonly metrics?: CloudMetrics | undefined;
  /** Told whether the lease is held. */
  readonly clientMetrics?: ClientMetrics | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Deep-freeze cached objects (tests). */
  readonly freeze?: boolean | undefined;
}

/**
 * Runs the cloud's controllers until `signal` aborts; with `leaderElect` only while this process holds the lease. Rejects
 * when the lease is lost, or the provider cannot be made. Nothing of it runs any more when it returns, but for calls of a
 * provider that does not heed its signals.
 */
export async function runCloudControllerManager(options: CloudControllerManagerOptions): Promise<void> {
  const { flags, signal, client, identity, clock = systemClock, random = systemRandom, logger } = options;
  // A name that leads nowhere is told now, not when the lease is ours.
  const makeProvider = options.provider ?? (await loadProvider(flags.cloudProvider, process.cwd()));
  const election = electionOf(flags, { client, identity, clock, random, logger, metrics: options.clientMetrics });
  const lead = async (tenure: AbortSignal): Promise<void> => {
    const { anonymousTransport, freeze, metrics = new CloudMetrics(clock) } = options;
    await using cleanup = new Cleanup();
    const informers = cleanup.use(createInformerFactory({ client, clock, random, logger, freeze }));
    const config =
      options.config ?? (flags.cloudConfig === undefined ? undefined : readFileSync(flags.cloudConfig, "utf8"));
    const made = await providerOf(
      () => makeProvider({ config, client, informers, clock, logger, signal: tenure }),
      clock,
      tenure,
    );
    const cloud = guardProvider(made, clock, metrics);
    cleanup.add(async () => cloud[Symbol.asyncDispose]?.());
    if (cloud.hasClusterId === false && !flags.allowUntaggedCloud)
      throw new Error(
        "no ClusterID found.  A ClusterID is required for the cloud provider to function properly.  This check can be bypassed by setting the allow-untagged-cloud option",
      );
    const { useServiceAccountCredentials, controllerStartIntervalMs: startIntervalMs } = flags;
    await runControllers(
      controllers
        .filter(({ name }) => isSelected(name, flags.controllers))
        .map((entry) => ({
          ...entry,
          create: (deps) => measured(entry.create(deps, cloud, flags, metrics), entry.name, metrics),
        })),
      {
        client,
        informers,
        anonymousTransport,
        useServiceAccountCredentials,
        startIntervalMs,
        clock,
        random,
        logger,
        queueMetrics: metrics,
        userAgent: "cloud-controller-manager",
      },
      tenure,
    );
  };
  await runElected(election, lead, signal);
}

/** The controller, which says while it runs that it does. */
function measured(controller: Controller | undefined, name: string, metrics: CloudMetrics): Controller | undefined {
  if (controller === undefined) return undefined;
  const known = CONTROLLERS[name] ?? name;
  return {
    name: controller.name,
    async run(signal) {
      metrics.setRunning(known, true);
      try {
        await controller.run(signal);
      } finally {
        metrics.setRunning(known, false);
      }
    },
  };
}
