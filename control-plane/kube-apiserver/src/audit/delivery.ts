import type { Clock, Logger, Timer } from "@coracle/base";
import { sleep } from "@coracle/base";
import { encodeEvent, type AuditEvent } from "./event.ts";
import { records } from "./policy.ts";
import type { AuditDeliverySettings } from "./settings.ts";

/** Writes events where they belong. Rejects, or throws, when it cannot. */
export interface AuditBackend extends AsyncDisposable {
  readonly name: "log" | "webhook";
  write(events: readonly AuditEvent[]): void | Promise<void>;
}

/** Hands events on to a backend, as its settings say. */
export interface AuditDelivery extends AsyncDisposable {
  /** False: the events had to be stored and were not. */
  take(events: readonly AuditEvent[]): boolean | Promise<boolean>;
}

export interface DeliveryDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of events that got lost, and in which part. */
  readonly onLost: (plugin: string, count: number) => void;
}

const TRUNCATED = { "audit.k8s.io/truncated": "true" };
/** Batches under way at once. */
const MAX_UNDER_WAY = 8;

/** Cuts events that are too large down to their metadata, and batches that are too large into several. */
function truncating(backend: AuditBackend, settings: AuditDeliverySettings, deps: DeliveryDeps): AuditBackend {
  const limits = settings.truncate;
  if (limits === undefined) return backend;
  return {
    name: backend.name,
    async write(events) {
      let batch: AuditEvent[] = [];
      let batchBytes = 0;
      for (const given of events) {
        let event = given;
        let size = Buffer.byteLength(encodeEvent(event));
        if (size > limits.maxEventBytes && records(event.level, "Request")) {
          const { requestObject: _request, responseObject: _response, ...rest } = event;
          event = { ...rest, annotations: { ...rest.annotations, ...TRUNCATED } };
          size = Buffer.byteLength(encodeEvent(event));
        }
        if (size > limits.maxEventBytes) {
          deps.onLost("truncate", 1);
          deps.logger.error("an audit event is too large even after truncating", { auditID: event.auditID });
          continue;
        }
        if (batch.length > 0 && batchBytes + size > limits.maxBatchBytes) {
          await backend.write(batch);
          batch = [];
          batchBytes = 0;
        }
        batch.push(event);
        batchBytes += size;
      }
      if (batch.length > 0) await backend.write(batch);
    },
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** Hands events on. */
export function createDelivery(
  backend: AuditBackend,
  settings: AuditDeliverySettings,
  deps: DeliveryDeps,
): AuditDelivery {
  const target = truncating(backend, settings, deps);
  return settings.mode === "batch" ? new BatchedDelivery(target, settings, deps) : blocking(target, settings, deps);
}

function blocking(backend: AuditBackend, settings: AuditDeliverySettings, deps: DeliveryDeps): AuditDelivery {
  const isStrict = settings.mode === "blocking-strict";
  const failed = (error: unknown, count: number): boolean => {
    deps.onLost(backend.name, count);
    deps.logger.error("audit events were not written", { backend: backend.name, error });
    return !isStrict;
  };
  return {
    take(events) {
      try {
        const pending = backend.write(events);
        if (pending === undefined) return true;
        return pending.then(
          () => true,
          (error: unknown) => failed(error, events.length),
        );
      } catch (error) {
        return failed(error, events.length);
      }
    },
    [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose](),
  };
}

/** Gathers events and writes them by and by. What comes faster than it can be written is dropped, and counted. */
class BatchedDelivery implements AuditDelivery {
  readonly #backend: AuditBackend;
  readonly #settings: AuditDeliverySettings;
  readonly #deps: DeliveryDeps;
  #waiting: AuditEvent[] = [];
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isOver = false;
  readonly #underWay = new Set<Promise<void>>();
  /** Batches that may be written at once, as of `#countedAt`. */
  #allowance: number;
  #countedAt: number;

  constructor(backend: AuditBackend, settings: AuditDeliverySettings, deps: DeliveryDeps) {
    this.#backend = backend;
    this.#settings = settings;
    this.#deps = deps;
    this.#allowance = settings.throttle?.burst ?? 0;
    this.#countedAt = deps.clock.monotonicMs();
  }

  take(events: readonly AuditEvent[]): boolean {
    const room = this.#settings.bufferSize - this.#waiting.length;
    if (this.#isOver || room < events.length) {
      const lost = this.#isOver ? events.length : events.length - room;
      this.#deps.onLost("buffered", lost);
      this.#deps.logger.error("audit events were dropped: the buffer is full", { count: lost });
    }
    if (!this.#isOver) this.#waiting.push(...events.slice(0, Math.max(0, room)));
    if (this.#waiting.length >= this.#settings.maxBatchSize) this.#start();
    else if (this.#settings.maxWaitMs > 0) {
      this.#timer ??= this.#deps.clock.after(this.#settings.maxWaitMs, () => this.#start());
    }
    return true;
  }

  #start(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#waiting.length >= this.#settings.maxBatchSize) this.#start();
    });
  }

  async #run(): Promise<void> {
    do {
      await this.#throttle();
      const batch = this.#waiting.splice(0, this.#settings.maxBatchSize);
      if (batch.length > 0) await this.#write(batch);
    } while (this.#waiting.length > 0);
  }

  async #throttle(): Promise<void> {
    const limit = this.#settings.throttle;
    if (limit === undefined || this.#isOver) return;
    const { clock } = this.#deps;
    const now = clock.monotonicMs();
    const gained = ((now - this.#countedAt) / 1000) * limit.perSecond;
    this.#allowance = Math.min(limit.burst, this.#allowance + gained) - 1;
    this.#countedAt = now;
    if (this.#allowance < 0) await sleep(clock, (-this.#allowance / limit.perSecond) * 1000);
  }

  async #write(batch: readonly AuditEvent[]): Promise<void> {
    const writing = (async () => {
      try {
        await this.#backend.write(batch);
      } catch (error) {
        this.#deps.onLost(this.#backend.name, batch.length);
        this.#deps.logger.error("audit events were not written", { backend: this.#backend.name, error });
      }
    })();
    if (this.#backend.name === "log") return writing;
    this.#underWay.add(writing);
    void writing.finally(() => this.#underWay.delete(writing));
    if (this.#underWay.size >= MAX_UNDER_WAY) await Promise.race(this.#underWay);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#start();
    while (this.#running !== undefined) await this.#running;
    await Promise.all(this.#underWay);
    await this.#backend[Symbol.asyncDispose]();
  }
}
