import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import {
  Cleanup,
  sleep,
  systemClock,
  systemRandom,
  TaskScope,
  type Clock,
  type Logger,
  type Random,
} from "@coracle/base";
import {
  createEventRecorder,
  createInformerFactory,
  runAsLeader,
  serviceAccountClients,
  type ApiClient,
  type Transport,
} from "@coracle/client";
import type { ControllerManagerFlags } from "../flags.ts";
import { isEnabled } from "./controller-names.ts";
import { isGateOn } from "./gates.ts";
import { ControllerManagerMetrics } from "./metrics.ts";
import { controllers } from "./registry.ts";

export interface ControllerManagerOptions {
  readonly client: ApiClient;
  /**
   * Reaches the server without an identity (no client certificate, no token). Needed with `useServiceAccountCredentials`:
   * then each controller acts as its own service account over it. Without that all act as `client`.
   */
  readonly anonymousTransport?: Transport | undefined;
  readonly flags: ControllerManagerFlags;
  /**
   * Who holds the lease. Whoever can say for sure that no two managers of this name run at once may give a fixed one:
   * then a manager that was killed is followed at once by its successor. Default: another for each run.
   */
  readonly identity?: string | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** Counts and measures there; absent: nobody looks. */
  readonly metrics?: ControllerManagerMetrics | undefined;
  /** Deep-freeze cached objects (tests). */
  readonly freeze?: boolean | undefined;
}

/**
 * Runs the controllers until `signal` aborts; with `leaderElect` only while this process holds the lease. Rejects when
 * the lease is lost or a controller cannot go on. Nothing of it runs any more when it returns.
 */
export async function runControllerManager(options: ControllerManagerOptions): Promise<void> {
  const { flags, signal, client, clock = systemClock, random = systemRandom, logger } = options;
  if (!flags.leaderElect) return await runControllers(options, signal);
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
      async (tenure) => runControllers(options, tenure),
      signal,
    );
  } catch (error) {
    if (signal.aborted && error === signal.reason) return;
    throw error;
  }
}

async function runControllers(options: ControllerManagerOptions, signal: AbortSignal): Promise<void> {
  const { client, flags, logger, clock = systemClock, random = systemRandom, freeze } = options;
  const { metrics: queueMetrics } = options;
  const metrics = queueMetrics ?? new ControllerManagerMetrics(clock);
  let isFirst = true;
  const clientFor = identities(options, clock, random);
  await using cleanup = new Cleanup();
  const informers = cleanup.use(createInformerFactory({ client, clock, random, logger, freeze }));
  await using scope = new TaskScope(signal);
  for (const entry of controllers) {
    if (!isEnabled(entry.name, flags.controllers)) continue;
    if (entry.gates?.some((gate) => !isGateOn(gate, flags.featureGates)) === true) continue;
    if (!isFirst && flags.controllerStartIntervalMs > 0) await sleep(clock, flags.controllerStartIntervalMs, signal);
    isFirst = false;
    const component = entry.component ?? entry.identity ?? "kube-controller-manager";
    const own = entry.identity === undefined ? client : clientFor(entry.identity);
    const recorder = cleanup.use(createEventRecorder({ client: own, component, clock, logger }));
    const deps = { client: own, informers, clock, random, logger, recorder, queueMetrics };
    const controller = entry.create(deps, flags, metrics);
    if (controller !== undefined) scope.run(async (running) => controller.run(running));
  }
  await scope.join();
}

function identities(options: ControllerManagerOptions, clock: Clock, random: Random): (identity: string) => ApiClient {
  const { client, anonymousTransport: transport } = options;
  if (!options.flags.useServiceAccountCredentials) return () => client;
  if (transport === undefined) throw new Error("service account credentials need a transport without an identity");
  return serviceAccountClients({ client, transport, clock, random, userAgent: "kube-controller-manager" });
}
