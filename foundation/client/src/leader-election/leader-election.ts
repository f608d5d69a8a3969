import { Lease } from "@coracle/api/coordination/v1";
import { isConflict, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import {
  isAbort,
  linkSignal,
  silentLogger,
  sleep,
  systemClock,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
} from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import type { ClientMetrics } from "../client-metrics.ts";

export interface LeaderElectionOptions {
  readonly client: ApiClient;
  /** The Lease that candidates compete for. */
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates. */
  readonly identity: string;
  readonly leaseDurationMs?: number | undefined;
  readonly renewDeadlineMs?: number | undefined;
  readonly retryPeriodMs?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly logger?: Logger | undefined;
  /** Told whether the lease is held. */
  readonly metrics?: Pick<ClientMetrics, "leads"> | undefined;
}

/** Thrown when the lease could not be renewed in time: the work done under it has been stopped. */
export class LeadershipLostError extends Error {
  override readonly name = "LeadershipLostError";
}

const JITTER = 1.2;

/**
 * Waits for leadership, runs `lead` under a signal that aborts when it is lost, and gives the lease back when `lead`
 * returns or `signal` aborts. Throws `LeadershipLostError` when the lease was lost. Two candidates never lead at the
 * same time as long as their clocks run at the same speed, however slowly the server answers.
 */
export async function runAsLeader(
  options: LeaderElectionOptions,
  lead: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
  const { leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2000 } = options;
  if (leaseDurationMs <= renewDeadlineMs) throw new Error("leaseDuration must be greater than renewDeadline");
  if (renewDeadlineMs <= retryPeriodMs * JITTER)
    throw new Error("renewDeadline must be greater than retryPeriod*JitterFactor");
  const lock = createLock(options, clock, leaseDurationMs);
  /** When the request was begun that took or renewed the lease: nobody counts its time from earlier on. */
  let heldSinceMs = 0;

  /** A request that is not answered in time counts as a failure. */
  async function tryHold(limitMs: number, until: AbortSignal): Promise<boolean> {
    const startedAtMs = clock.monotonicMs();
    using link = linkSignal(until);
    using _limit = clock.after(limitMs, () => link.abort(new DOMException("no answer in time", "TimeoutError")));
    const isHeld = await lock.tryAcquire(link.signal);
    if (isHeld) heldSinceMs = startedAtMs;
    else until.throwIfAborted();
    return isHeld;
  }

  const { metrics, name } = options;
  metrics?.leads(name, false);
  while (!(await tryHold(renewDeadlineMs / 2, signal)))
    await sleep(clock, retryPeriodMs * (1 + random.next() * (JITTER - 1)), signal);
  metrics?.leads(name, true);
  logger.info("became leader", { lease: options.name, identity: options.identity });

  using tenure = linkSignal(signal);
  const work = lead(tenure.signal);
  using renewing = linkSignal(tenure.signal);
  const stopRenewing = (): void => renewing.abort(new DOMException("done", "AbortError"));
  void work.then(stopRenewing, stopRenewing);
  let lost = false;
  try {
    for (;;) {
      const leftMs = (): number => heldSinceMs + renewDeadlineMs - clock.monotonicMs();
      await sleep(clock, Math.max(0, Math.min(retryPeriodMs, leftMs())), renewing.signal);
      lost = leftMs() <= 0;
      if (lost) break;
      await tryHold(leftMs(), renewing.signal);
    }
  } catch (error) {
    if (!isAbort(error, renewing.signal)) throw error;
  }
  const loss = new LeadershipLostError(`lost lease ${options.namespace}/${options.name}`);
  if (lost) {
    metrics?.leads(name, false);
    tenure.abort(loss);
  }
  try {
    await work;
  } catch (error) {
    if (!lost) throw error;
  } finally {
    metrics?.leads(name, false);
    if (!lost) await lock.release(renewDeadlineMs / 2);
  }
  if (lost) throw loss;
}

/**
 * Runs `work` until `signal` aborts: at once when there is no election, else while this process holds the lease. What
 * listens to the signal that `work` gets, as each request under way does, listens to nobody else's.
 */
export async function runElected(
  election: LeaderElectionOptions | undefined,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (election === undefined) {
    using link = linkSignal(signal);
    return await work(link.signal);
  }
  try {
    await runAsLeader(election, work, signal);
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  }
}

interface Lock {
  /** Takes or renews the lease; false when another holds it or the server does not answer before the signal aborts. */
  tryAcquire(signal: AbortSignal): Promise<boolean>;
  /** Gives it back, unless that takes longer than `limitMs`: then it runs out by itself. */
  release(limitMs: number): Promise<void>;
}

function createLock(options: LeaderElectionOptions, clock: Clock, leaseDurationMs: number): Lock {
  const { client, namespace, name, identity, logger = silentLogger } = options;
  let observed: Lease | undefined;
  let observedAtMs = 0;
  const micros = (): string => new Date(clock.now()).toISOString().replace(/Z$/, "000Z");

  const observe = (lease: Lease): void => {
    if (observed?.metadata.resourceVersion !== lease.metadata.resourceVersion) observedAtMs = clock.monotonicMs();
    observed = lease;
  };
  const mine = (before: Lease | undefined): NonNullable<Lease["spec"]> => {
    const isRenewal = before?.spec?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.round(leaseDurationMs / 1000),
      acquireTime: isRenewal ? before.spec?.acquireTime : micros(),
      renewTime: micros(),
      leaseTransitions: (before?.spec?.leaseTransitions ?? 0) + (isRenewal || before === undefined ? 0 : 1),
    };
  };

  return {
    async tryAcquire(signal) {
      try {
        // A renewal needs no read: the server refuses it if someone else wrote meanwhile.
        if (observed === undefined || observed.spec?.holderIdentity !== identity) {
          try {
            observe(await client.get(Lease, { namespace, name }, { signal }));
          } catch (error) {
            if (!isNotFound(error)) throw error;
            observe(await client.create(Lease, { metadata: { namespace, name }, spec: mine(undefined) }, { signal }));
            return true;
          }
        }
        const holder = observed?.spec?.holderIdentity ?? "";
        const heldMs = (observed?.spec?.leaseDurationSeconds ?? 0) * 1000;
        if (holder !== "" && holder !== identity && clock.monotonicMs() - observedAtMs < heldMs) return false;
        observe(await client.update(Lease, { ...(observed as Lease), spec: mine(observed) }, { signal }));
        return true;
      } catch (error) {
        // Someone else was faster: look again next time.
        if (isConflict(error) || isNotFound(error) || isAlreadyExists(error)) observed = undefined;
        logger.debug("lease not acquired", { lease: name, error: String(error) });
        return false;
      }
    },
    async release(limitMs) {
      if (observed?.spec?.holderIdentity !== identity) return;
      using link = linkSignal();
      using _limit = clock.after(limitMs, () => link.abort(new DOMException("no answer in time", "TimeoutError")));
      const spec = { ...observed.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: micros() };
      try {
        await client.update(Lease, { ...observed, spec }, { signal: link.signal });
      } catch (error) {
        logger.debug("lease not released", { lease: name, error: String(error) });
      }
    },
  };
}
