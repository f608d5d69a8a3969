import type { KubeObject, ResourceType } from "@coracle/api";
import { isConflict, isStatusError } from "@coracle/apimachinery";
import { Cleanup, isAbort, type Clock, type Logger, type Random } from "@coracle/base";
import {
  cacheKeyOf,
  createWorkQueue,
  type ApiClient,
  type CacheKey,
  type EventRecorder,
  type Informer,
  type InformerFactory,
  type InformerOptions,
  type WorkQueueMetrics,
} from "@coracle/client";
import { EXPECTATION_TTL_MS, type Expectations } from "../expectations/expectations.ts";
import type { Watch, WatchContext } from "./watches.ts";

/** What every controller is handed. */
export interface ControllerDeps {
  readonly client: ApiClient;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  /** Counts what the queues do; absent: nobody looks. */
  readonly queueMetrics?: Pick<WorkQueueMetrics, "of"> | undefined;
  /** Changes of watched objects wait so long for others; absent: not at all. */
  readonly batchPeriodMs?: number | undefined;
}

/** Nothing more to do until something changes, or look again after `requeueAfterMs`. */
export interface ReconcileResult {
  readonly requeueAfterMs?: number | undefined;
}

export const done: ReconcileResult = {};

/** Look again in `delayMs`; undefined: only when something changes. */
export function requeueAfter(delayMs: number | undefined): ReconcileResult {
  return delayMs === undefined ? done : { requeueAfterMs: delayMs };
}

export interface ReconcileContext {
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface ControllerDefinition<T extends KubeObject> {
  readonly name: string;
  /** The kind of object that keys name. */
  readonly for: ResourceType<T>;
  /** Which of them; absent: all. */
  readonly scope?: InformerOptions<T> | undefined;
  /** Changes of a reconciled object that matter; absent: all. */
  readonly changed?: ((object: T, old: T | undefined) => boolean) | undefined;
  readonly watches?: readonly Watch[] | undefined;
  readonly expectations?: Expectations | undefined;
  /** Keys worked on at a time. */
  readonly workers?: number | undefined;
  /** Delay after a first failure. */
  readonly baseDelayMs?: number | undefined;
  readonly maxDelayMs?: number | undefined;
  /** Called once before the first key, when the caches are full. */
  started?(context: WatchContext): void;
  /** Brings the world towards what the object says. Reads the state anew each time; a rejection is tried again. */
  reconcile(key: CacheKey, context: ReconcileContext): Promise<ReconcileResult>;
}

export interface Controller {
  readonly name: string;
  /** Reconciles until `signal` aborts, then waits for what is in work. */
  run(signal: AbortSignal): Promise<void>;
}

const WORKERS = 5;

/** The loop around `reconcile`: watches, waits for caches, queues keys, retries with back-off, never the same key twice at a time. */
export function defineController<T extends KubeObject>(
  deps: Pick<ControllerDeps, "informers" | "clock" | "logger" | "queueMetrics" | "batchPeriodMs">,
  definition: ControllerDefinition<T>,
): Controller {
  const { name, expectations } = definition;
  const { batchPeriodMs = 0 } = deps;
  return {
    name,
    async run(signal) {
      const log = deps.logger.child({ controller: name });
      const queue = createWorkQueue<CacheKey>({
        clock: deps.clock,
        baseDelayMs: definition.baseDelayMs,
        maxDelayMs: definition.maxDelayMs,
        observer: deps.queueMetrics?.of(name),
      });
      await using cleanup = new Cleanup();
      const primary = deps.informers.informer(definition.for, definition.scope);
      const context: WatchContext = {
        informers: deps.informers,
        primary: primary as unknown as Informer<KubeObject>,
        expectations,
        enqueue: (key) => queue.addAfter(key, batchPeriodMs),
        enqueueAfter: (key, delayMs) => queue.addAfter(key, delayMs),
      };
      const { changed = () => true } = definition;
      cleanup.use(
        primary.addHandlers({
          added: (object) => changed(object, undefined) && queue.add(cacheKeyOf(object)),
          updated: (old, object) => changed(object, old) && queue.add(cacheKeyOf(object)),
          deleted(object) {
            expectations?.forget(cacheKeyOf(object));
            queue.add(cacheKeyOf(object));
          },
        }),
      );
      const informers = (definition.watches ?? []).map((watch) =>
        watch.start(context, (undo) => void cleanup.use(undo)),
      );
      try {
        await primary.waitForSync(signal);
        for (const informer of informers) await informer.waitForSync(signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      definition.started?.(context);

      await queue.run(
        definition.workers ?? WORKERS,
        async (key) => {
          try {
            const { requeueAfterMs } = await definition.reconcile(key, { signal, log });
            queue.forget(key);
            if (requeueAfterMs !== undefined) queue.addAfter(key, requeueAfterMs);
            // What was expected may never be seen; then this key must not wait for ever.
            if (expectations?.satisfied(key) === false) queue.addAfter(key, EXPECTATION_TTL_MS + 1000);
          } catch (error) {
            if (isAbort(error, signal)) return;
            if (isNamespaceTerminating(error)) return queue.forget(key); // nothing can be made there any more
            const expected = isConflict(error) || isStatusError(error, "ServiceUnavailable", "NotFound");
            log[expected ? "debug" : "warn"]("reconcile failed", {
              key,
              tries: queue.failures(key) + 1,
              error: isStatusError(error) ? error.message : error,
            });
            queue.addRateLimited(key);
          }
        },
        signal,
      );
    },
  };
}

/** The server refuses to create anything in a namespace that is being deleted; nobody needs to be told. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    isStatusError(error, "Forbidden") &&
    error.status.details?.causes?.some((cause) => cause.reason === "NamespaceTerminating") === true
  );
}
