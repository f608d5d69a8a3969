import { systemClock, systemRandom, type Clock, type Logger, type Random } from "@coracle/base";
import {
  createInformerFactory,
  electionOf,
  runElected,
  type ApiClient,
  type ClientMetrics,
  type Transport,
} from "@coracle/client";
import { runControllers, type ManagedController } from "@coracle/controller-kit";
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
  /** Told whether the lease is held. */
  readonly clientMetrics?: ClientMetrics | undefined;
  /** Deep-freeze cached objects (tests). */
  readonly freeze?: boolean | undefined;
}

/**
 * Runs the controllers until `signal` aborts; with `leaderElect` only while this process holds the lease. Rejects when
 * the lease is lost or a controller cannot go on. Nothing of it runs any more when it returns.
 */
export async function runControllerManager(options: ControllerManagerOptions): Promise<void> {
  const { flags, signal, client, identity, clock = systemClock, random = systemRandom, logger } = options;
  const election = electionOf(flags, { client, identity, clock, random, logger, metrics: options.clientMetrics });
  const lead = async (tenure: AbortSignal): Promise<void> => {
    const { anonymousTransport, metrics, freeze } = options;
    await using informers = createInformerFactory({ client, clock, random, logger, freeze });
    const context = { client, informers, anonymousTransport, clock, random, logger };
    const { useServiceAccountCredentials, controllerStartIntervalMs: startIntervalMs } = flags;
    await runControllers(
      managedControllers(flags, metrics ?? new ControllerManagerMetrics(clock)),
      { ...context, useServiceAccountCredentials, startIntervalMs, queueMetrics: metrics, userAgent: NAME },
      tenure,
    );
  };
  await runElected(election, lead, signal);
}

const NAME = "kube-controller-manager";

/** Those that the flags leave on. */
function managedControllers(
  flags: ControllerManagerFlags,
  metrics: ControllerManagerMetrics,
): readonly ManagedController[] {
  return controllers
    .filter(({ name }) => isEnabled(name, flags.controllers))
    .filter(({ gates = [] }) => gates.every((gate) => isGateOn(gate, flags.featureGates)))
    .map((entry) => ({
      ...entry,
      component: entry.component ?? entry.identity ?? NAME,
      create: (deps) => entry.create(deps, flags, metrics),
    }));
}
