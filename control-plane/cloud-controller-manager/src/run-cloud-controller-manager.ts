import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { Cleanup, systemClock, systemRandom, TaskScope, type Clock, type Logger, type Random } from "@coracle/base";
import {
  createEventRecorder,
  createInformerFactory,
  runAsLeader,
  serviceAccountClients,
  type ApiClient,
  type Transport,
} from "@coracle/client";
import { controllers, isEnabled } from "./controllers.ts";
import type { CloudControllerManagerFlags } from "./flags.ts";
import { CloudMetrics } from "./metrics.ts";
import type { CloudProviderFactory } from "./provider/cloud-provider.ts";
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
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Deep-freeze cached objects (tests). */
  readonly freeze?: boolean | undefined;
}

/**
 * Runs the cloud's controllers until `signal` aborts; with `leaderElect` only while this process holds the lease. Rejects
 * when the lease is lost, or the provider cannot be made. Nothing of it runs any more when it returns.
 */
export async function runCloudControllerManager(options: CloudControllerManagerOptions): Promise<void> {
  const { flags, signal, client, clock = systemClock, random = systemRandom, logger } = options;
  // A name that leads nowhere is told now, not when the lease is ours.
  const provider = options.provider ?? (await loadProvider(flags.cloudProvider, process.cwd()));
  if (!flags.leaderElect) return await runControllers({ ...options, provider }, signal);
  try {
    await runAsLeader(
      {
        client,
        namespace: flags.leaderElectResourceNamespace,
        name: flags.leaderElectResourceName,
        identity: options.identity ?? `${hostname()}_${randomUUID()}`,
        leaseDurationMs: flags.leaderElectLeaseDurationMs,
        renewDeadlineMs: flags.leaderElectRenewDeadlineMs,
        retryPeriodMs: flags.leaderElectRetryPeriodMs,
        clock,
        random,
        logger,
      },
      async (tenure) => runControllers({ ...options, provider }, tenure),
      signal,
    );
  } catch (error) {
    if (signal.aborted && error === signal.reason) return;
    throw error;
  }
}

async function runControllers(
  options: CloudControllerManagerOptions & { readonly provider: CloudProviderFactory },
  signal: AbortSignal,
): Promise<void> {
  const { client, flags, logger, clock = systemClock, random = systemRandom, freeze } = options;
  const { metrics = new CloudMetrics() } = options;
  const clientFor = identities(options, clock, random);
  await using cleanup = new Cleanup();
  const informers = cleanup.use(createInformerFactory({ client, clock, random, logger, freeze }));
  const config =
    options.config ?? (flags.cloudConfig === undefined ? undefined : readFileSync(flags.cloudConfig, "utf8"));
  const cloud = await options.provider({ config, client, informers, clock, logger, signal });
  cleanup.add(async () => cloud[Symbol.asyncDispose]?.());
  if (cloud.hasClusterId === false && !flags.allowUntaggedCloud)
    throw new Error(
      "no ClusterID found.  A ClusterID is required for the cloud provider to function properly.  This check can be bypassed by setting the allow-untagged-cloud option",
    );
  await using scope = new TaskScope(signal);
  for (const entry of controllers) {
    if (!isEnabled(entry.name, flags.controllers)) continue;
    const own = clientFor(entry.identity);
    const recorder = cleanup.use(createEventRecorder({ client: own, component: entry.eventSource, clock, logger }));
    const controller = entry.create({ client: own, informers, clock, random, logger, recorder }, cloud, flags, metrics);
    if (controller === undefined) logger.info("controller has nothing to do", { controller: entry.name });
    else scope.run(async (running) => controller.run(running));
  }
  await scope.join();
}

function identities(
  { client, anonymousTransport: transport, flags }: CloudControllerManagerOptions,
  clock: Clock,
  random: Random,
): (identity: string) => ApiClient {
  if (!flags.useServiceAccountCredentials) return () => client;
  if (transport === undefined) throw new Error("service account credentials need a transport without an identity");
  return serviceAccountClients({ client, transport, clock, random, userAgent: "cloud-controller-manager" });
}
