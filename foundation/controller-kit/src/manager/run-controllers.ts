import { Cleanup, sleep, TaskScope, type Clock, type Logger, type Random } from "@coracle/base";
import {
  createEventRecorder,
  serviceAccountClients,
  type ApiClient,
  type InformerFactory,
  type Transport,
} from "@coracle/client";
import type { Controller, ControllerDeps } from "../controller/define-controller.ts";

/** One controller of a manager. */
export interface ManagedController {
  readonly name: string;
  /** Its service account in kube-system; undefined: it acts as the manager. */
  readonly identity: string | undefined;
  /** Where its events come from. */
  readonly component: string;
  /** Undefined: there is nothing for it to do. */
  create(deps: ControllerDeps): Controller | undefined;
}

/** What the controllers of a manager share. */
export interface ManagerContext {
  /** The manager's own. */
  readonly client: ApiClient;
  readonly informers: InformerFactory;
  /** Reaches the server without an identity (no client certificate, no token). */
  readonly anonymousTransport: Transport | undefined;
  /** Each controller acts as its own service account, over `anonymousTransport`; else all act as the manager. */
  readonly useServiceAccountCredentials: boolean;
  /** The manager's name, before that of the account. */
  readonly userAgent: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly queueMetrics: ControllerDeps["queueMetrics"];
  /** Between the starts of two controllers. */
  readonly startIntervalMs: number;
}

/**
 * Starts the controllers one after another, and runs them until `signal` aborts. Rejects when one of them cannot go on.
 * Nothing of them runs any more when it returns.
 */
export async function runControllers(
  all: readonly ManagedController[],
  context: ManagerContext,
  signal: AbortSignal,
): Promise<void> {
  const { client, informers, clock, random, logger, queueMetrics } = context;
  const accountClient = accountClients(context);
  await using cleanup = new Cleanup();
  await using scope = new TaskScope(signal);
  let isFirst = true;
  for (const entry of all) {
    const { name, identity, component } = entry;
    if (!isFirst && context.startIntervalMs > 0) await sleep(clock, context.startIntervalMs, signal);
    isFirst = false;
    const own = identity === undefined ? client : accountClient(identity);
    const recorder = cleanup.use(createEventRecorder({ client: own, component, clock, logger }));
    const controller = entry.create({ client: own, informers, clock, random, logger, recorder, queueMetrics });
    if (controller === undefined) logger.info("controller has nothing to do", { controller: name });
    else scope.run(async (running) => controller.run(running));
  }
  await scope.join();
}

function accountClients(context: ManagerContext): (identity: string) => ApiClient {
  const { client, anonymousTransport: transport, userAgent, clock, random } = context;
  if (!context.useServiceAccountCredentials) return () => client;
  if (transport === undefined) throw new Error("service account credentials need a transport without an identity");
  return serviceAccountClients({ client, transport, clock, random, userAgent });
}
