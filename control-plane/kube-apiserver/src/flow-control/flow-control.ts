import type { FlowSchema, PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { onAbort, type Clock } from "@coracle/base";
import type { UserInfo } from "../authentication/user.ts";
import type { RequestInfo } from "../server/request-info.ts";
import { inMatchingOrder, SchemaMatcher } from "./flow-schemas.ts";
import { PriorityLevel, queueLimitsOf, sharesOf, type FlowCounters } from "./priority-level.ts";
import { SeatRequest, type RejectReason } from "./queue-set.ts";
import { allocateSeats } from "./seat-allocation.ts";
import { WatchTracker } from "./watch-tracker.ts";
import { estimateWork, ONE_SEAT, type WorkEstimate } from "./work-estimate.ts";

/** A schema at work: where its requests go. */
export interface Flow {
  readonly name: string;
  readonly uid: string;
  readonly distinguisher: "ByUser" | "ByNamespace" | undefined;
  readonly level: PriorityLevel;
  readonly counters: FlowCounters;
}

/** One request under flow control. */
export class FlowTicket extends SeatRequest {
  readonly flow: Flow;
  readonly user: UserInfo;
  readonly info: RequestInfo;
  outcome: "started" | "waiting" | RejectReason = "waiting";

  constructor(flow: Flow, user: UserInfo, info: RequestInfo, work: WorkEstimate, now: number) {
    const { distinguisher } = flow;
    const key = distinguisher === "ByUser" ? user.name : distinguisher === "ByNamespace" ? info.namespace : "";
    super(flow.name, key, work, now);
    this.flow = flow;
    this.user = user;
    this.info = info;
  }
}

/** The two schemas and levels that there always are, should their objects be missing. */
export interface MandatoryFlowObjects {
  readonly levels: readonly PriorityLevelConfiguration[];
  readonly schemas: readonly FlowSchema[];
}

export interface FlowControlOptions {
  /** Seats of the whole server. */
  readonly serverSeats: number;
  readonly clock: Clock;
  readonly mandatory: MandatoryFlowObjects;
  /** Objects of a resource; undefined: the server does not hold it. */
  readonly countOf: (info: RequestInfo) => number | undefined;
}

const ADJUSTMENT_PERIOD_MS = 10_000;

/**
 * Gives the server's seats to requests: each request's schema names a priority level, each level has seats and
 * queues, and levels lend each other what they do not use. Where a seat is free a request costs no promise.
 */
export class FlowControl {
  readonly #options: FlowControlOptions;
  readonly #clock: Clock;
  readonly #levels = new Map<string, PriorityLevel>();
  #matcher = new SchemaMatcher<Flow>([]);
  #catchAll!: Flow;
  #adjustedAt: number;
  #nominalSum = 0;
  fairFraction = 0;
  readonly watches = new WatchTracker();

  constructor(options: FlowControlOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#adjustedAt = options.clock.monotonicMs();
    this.configure([], []);
  }

  get levels(): ReadonlyMap<string, PriorityLevel> {
    return this.#levels;
  }

  /** Takes over the objects as they are now. Answers the schemas whose level does not exist. */
  configure(levels: readonly PriorityLevelConfiguration[], schemas: readonly FlowSchema[]): ReadonlySet<string> {
    const now = this.#clock.monotonicMs();
    const { mandatory } = this.#options;
    const named = new Set(levels.map(({ metadata }) => metadata.name));
    const wanted = new Set<string>();
    for (const level of [...levels, ...mandatory.levels.filter(({ metadata }) => !named.has(metadata.name))]) {
      if (this.#takeLevel(level, now)) wanted.add(level.metadata.name!);
    }
    const dangling = this.#takeSchemas(schemas, wanted);
    for (const [name, level] of this.#levels) {
      if (wanted.has(name)) continue;
      if (level.queues.isIdle) this.#levels.delete(name);
      else level.isQuiescing = true;
    }
    this.#divide(now);
    return dangling;
  }

  #takeLevel(object: PriorityLevelConfiguration, now: number): boolean {
    const limits = queueLimitsOf(object);
    if (limits === undefined) return false;
    const known = this.#levels.get(object.metadata.name!);
    if (known === undefined) {
      const made = new PriorityLevel(object, limits, now);
      made.queues.onNoRoom = ({ schema }) => (made.countersOf(schema).noRoom += 1);
      this.#levels.set(made.name, made);
      return true;
    }
    known.configuration = object;
    known.limits = limits;
    known.uid = object.metadata.uid ?? "";
    known.isQuiescing = false;
    return true;
  }

  #takeSchemas(schemas: readonly FlowSchema[], levels: ReadonlySet<string>): Set<string> {
    const dangling = new Set<string>();
    const usable = schemas.filter(({ metadata, spec }) => {
      if (levels.has(spec.priorityLevelConfiguration.name)) return true;
      dangling.add(metadata.name!);
      return false;
    });
    const named = new Set(usable.map(({ metadata }) => metadata.name));
    const missing = this.#options.mandatory.schemas.filter(({ metadata }) => !named.has(metadata.name));
    const flows = inMatchingOrder([...usable, ...missing]).map((schema) => ({ schema, target: this.#flowOf(schema) }));
    this.#matcher = new SchemaMatcher(flows);
    this.#catchAll = flows.find(({ target }) => target.name === "catch-all")!.target;
    return dangling;
  }

  #flowOf({ metadata, spec }: FlowSchema): Flow {
    const level = this.#levels.get(spec.priorityLevelConfiguration.name)!;
    const method = spec.distinguisherMethod?.type;
    return {
      name: metadata.name!,
      uid: metadata.uid ?? "",
      distinguisher: method === "ByUser" || method === "ByNamespace" ? method : undefined,
      level,
      counters: level.countersOf(metadata.name!),
    };
  }

  /** Divides the server's seats among the levels by their shares. */
  #divide(now: number): void {
    const { serverSeats } = this.#options;
    const shares = [...this.#levels.values()].map((level) => ({ level, ...sharesOf(level.configuration) }));
    const sum = shares.reduce((total, one) => total + one.shares, 0);
    this.#nominalSum = 0;
    for (const { level, shares: own, lendablePercent, borrowingLimitPercent } of shares) {
      const nominal = Math.ceil((serverSeats * own) / sum);
      const lendable = Math.round((nominal * lendablePercent) / 100);
      const borrowing =
        borrowingLimitPercent === undefined ? serverSeats : Math.round((nominal * borrowingLimitPercent) / 100);
      level.bounds = { nominal, lower: nominal - lendable, upper: nominal + borrowing };
      this.#nominalSum += nominal;
    }
    this.#allocate(now);
  }

  /** Levels get seats by what they could use of late. */
  #allocate(now: number): void {
    const levels = [...this.#levels.values()];
    const limited = levels.filter(({ isExempt }) => !isExempt);
    const exempt = levels.filter(({ isExempt }) => isExempt);
    for (const level of levels) level.target = Math.max(level.wanted, level.demand.smoothed);
    const remaining = exempt.reduce((left, level) => left - level.wanted, this.#nominalSum);
    const lowerSum = limited.reduce((sum, { bounds }) => sum + bounds.lower, 0);
    const wantedSum = limited.reduce((sum, level) => sum + level.wanted, 0);
    let seats: readonly number[];
    this.fairFraction = 0;
    if (remaining <= lowerSum) seats = limited.map(({ bounds }) => bounds.lower);
    else if (remaining <= wantedSum) {
      const share = (remaining - lowerSum) / (wantedSum - lowerSum);
      seats = limited.map(({ bounds, wanted }) => bounds.lower + (wanted - bounds.lower) * share);
    } else {
      const claims = limited.map(({ wanted, bounds, target }) => ({ target, lower: wanted, upper: bounds.upper }));
      ({ seats, fairFraction: this.fairFraction } = allocateSeats(this.#nominalSum, claims));
    }
    for (const [i, level] of limited.entries()) level.queues.configure(level.limits, Math.round(seats[i]!), now);
    for (const level of exempt) level.queues.configure(level.limits, level.wanted, now);
  }

  #adjust(now: number): void {
    const periods = Math.floor((now - this.#adjustedAt) / ADJUSTMENT_PERIOD_MS);
    this.#adjustedAt = now;
    for (const level of this.#levels.values()) level.demand.endPeriod(now, periods);
    this.#allocate(now);
  }

  /** Classifies a request and gives it a seat, a place in a queue, or the reason why not. */
  start(user: UserInfo, info: RequestInfo, query: URLSearchParams): FlowTicket {
    const now = this.#clock.monotonicMs();
    if (now - this.#adjustedAt >= ADJUSTMENT_PERIOD_MS) this.#adjust(now);
    const flow = this.#matcher.match(user, info) ?? this.#catchAll;
    const { level, counters } = flow;
    const work = info.verb === "get" ? ONE_SEAT : this.#estimate(info, query, level.maxSeats);
    const ticket = new FlowTicket(flow, user, info, work, now);
    counters.estimatedSeats.observe(ticket.seats);
    const outcome = level.queues.add(ticket, now);
    ticket.outcome = outcome;
    if (outcome === "started") this.#noteStart(ticket);
    else if (outcome === "waiting") {
      counters.waiting += 1;
      counters.waitingSeats += ticket.seats;
      counters.queueLength.observe(ticket.queue!.waiting.length);
    } else this.#noteRejection(ticket, outcome, now);
    level.demand.set(level.queues.demand, now);
    return ticket;
  }

  #estimate(info: RequestInfo, query: URLSearchParams, maxSeats: number): WorkEstimate {
    const { countOf } = this.#options;
    return estimateWork(info, query, { countOf, watchersOf: (of) => this.watches.count(of) }, maxSeats);
  }

  #noteStart(ticket: FlowTicket): void {
    const { counters, level } = ticket.flow;
    counters.dispatched += 1;
    counters.executing += 1;
    counters.executingSeats += ticket.seats;
    if (!level.isExempt) counters.waited.true.observe((ticket.startedAt! - ticket.arrivedAt) / 1000);
  }

  #noteRejection({ flow, arrivedAt }: FlowTicket, reason: RejectReason, now: number): void {
    const { rejected, waited } = flow.counters;
    rejected.set(reason, (rejected.get(reason) ?? 0) + 1);
    waited.false.observe((now - arrivedAt) / 1000);
    flow.level.retryAfter.note(Math.floor(this.#clock.now() / 1000));
  }

  /** Resolves true when a waiting request may start, false when it waited too long or its client is gone. */
  wait(ticket: FlowTicket, waitMs: number, signal: AbortSignal): Promise<boolean> {
    const { counters, level } = ticket.flow;
    return new Promise((resolve) => {
      const end = (isStarted: boolean): void => {
        timer[Symbol.dispose]();
        gone?.[Symbol.dispose]();
        counters.waiting -= 1;
        counters.waitingSeats -= ticket.seats;
        if (isStarted) this.#noteStart(ticket);
        resolve(isStarted);
      };
      const giveUp = (): void => {
        const now = this.#clock.monotonicMs();
        if (!level.queues.cancel(ticket, now)) return;
        ticket.outcome = "time-out";
        this.#noteRejection(ticket, "time-out", now);
        level.demand.set(level.queues.demand, now);
        end(false);
      };
      const timer = this.#clock.after(waitMs, giveUp);
      ticket.onStart = () => {
        ticket.outcome = "started";
        end(true);
      };
      let gone: Disposable | undefined;
      gone = onAbort(signal, giveUp);
    });
  }

  /** A started request is over; a watch is when its first events were sent. */
  finish(ticket: FlowTicket): void {
    const now = this.#clock.monotonicMs();
    const { level, counters } = ticket.flow;
    level.queues.finish(ticket, now);
    counters.executing -= 1;
    const { executed } = counters;
    (ticket.info.verb === "watch" ? executed.watch : executed.regular).observe((now - ticket.startedAt!) / 1000);
    const { additionalLatencyMs } = ticket.work;
    if (additionalLatencyMs <= 0) this.#released(ticket, now);
    else this.#clock.after(additionalLatencyMs, () => this.#release(ticket)).unref();
  }

  #release(ticket: FlowTicket): void {
    const now = this.#clock.monotonicMs();
    ticket.flow.level.queues.release(ticket, now);
    this.#released(ticket, now);
  }

  #released({ flow, seats }: FlowTicket, now: number): void {
    const { level, counters } = flow;
    counters.executingSeats -= seats;
    level.demand.set(level.queues.demand, now);
    if (now - this.#adjustedAt >= ADJUSTMENT_PERIOD_MS) this.#adjust(now);
    if (level.isQuiescing && level.queues.isIdle) {
      this.#levels.delete(level.name);
      this.#divide(now);
    }
  }
}
