import type { PriorityLevelConfiguration } from "@coracle/api/flowcontrol/v1";
import { Histogram, QUEUE_LENGTHS, SEATS, SECONDS } from "./histogram.ts";
import { QueueSet, type QueueLimits, type RejectReason } from "./queue-set.ts";
import { RetryAfter } from "./retry-after.ts";
import { SeatDemand } from "./seat-demand.ts";

/** What is counted of a schema's requests, for the metrics. */
export class FlowCounters {
  executing = 0;
  executingSeats = 0;
  waiting = 0;
  waitingSeats = 0;
  dispatched = 0;
  noRoom = 0;
  readonly rejected = new Map<RejectReason, number>();
  readonly waited = { true: new Histogram(SECONDS), false: new Histogram(SECONDS) };
  readonly executed = { regular: new Histogram(SECONDS), watch: new Histogram(SECONDS) };
  readonly estimatedSeats = new Histogram(SEATS);
  readonly queueLength = new Histogram(QUEUE_LENGTHS);
}

/** How many seats a level has: what is its own, and within what bounds it lends and borrows. */
export interface SeatBounds {
  readonly nominal: number;
  readonly lower: number;
  readonly upper: number;
}

const NO_QUEUES = { handSize: 1, queueLengthLimit: 0 };
const MAXIMUM_SHARE = 0.15;

/** How a level's requests wait, as its object says; undefined: the object contradicts itself and is passed over. */
export function queueLimitsOf({ metadata, spec }: PriorityLevelConfiguration): QueueLimits | undefined {
  const { type, limited, exempt } = spec;
  if ((type === "Limited") !== (limited !== undefined) || (type === "Exempt") !== (exempt !== undefined))
    return undefined;
  if ((type === "Exempt") !== (metadata.name === "exempt")) return undefined;
  if (limited === undefined) return { queues: -1, ...NO_QUEUES };
  const { limitResponse } = limited;
  const queuing = limitResponse?.queuing;
  if ((limitResponse?.type === "Queue") !== (queuing !== undefined)) return undefined;
  if (queuing === undefined) return { queues: 0, ...NO_QUEUES };
  const { queues = 64, handSize = 8, queueLengthLimit = 50 } = queuing;
  return { queues, handSize, queueLengthLimit };
}

/** The shares, in hundredths of which a level lends and borrows. */
export function sharesOf({ spec }: PriorityLevelConfiguration): {
  readonly shares: number;
  readonly lendablePercent: number;
  /** Undefined: as much as there is. */
  readonly borrowingLimitPercent: number | undefined;
} {
  const { limited, exempt } = spec;
  return {
    shares: limited === undefined ? (exempt?.nominalConcurrencyShares ?? 0) : (limited.nominalConcurrencyShares ?? 30),
    lendablePercent: limited?.lendablePercent ?? exempt?.lendablePercent ?? 0,
    borrowingLimitPercent: limited?.borrowingLimitPercent,
  };
}

/** A priority level at work. */
export class PriorityLevel {
  readonly name: string;
  readonly isExempt: boolean;
  uid: string;
  configuration: PriorityLevelConfiguration;
  limits: QueueLimits;
  bounds: SeatBounds = { nominal: 0, lower: 0, upper: 0 };
  /** Its object is gone; it stays until its last request is over. */
  isQuiescing = false;
  /** The target of the last adjustment. */
  target = 0;
  readonly queues: QueueSet;
  readonly demand: SeatDemand;
  readonly retryAfter = new RetryAfter();
  readonly counters = new Map<string, FlowCounters>();

  constructor(configuration: PriorityLevelConfiguration, limits: QueueLimits, now: number) {
    this.name = configuration.metadata.name!;
    this.isExempt = limits.queues < 0;
    this.uid = configuration.metadata.uid ?? "";
    this.configuration = configuration;
    this.limits = limits;
    this.queues = new QueueSet(limits, 0, now);
    this.demand = new SeatDemand(now);
  }

  /** What one request may take at most; 0: no limit of the level's own. */
  get maxSeats(): number {
    const { queues, handSize } = this.limits;
    if (queues < 1) return 0;
    const { nominal } = this.bounds;
    return Math.max(1, Math.min(Math.ceil(nominal * MAXIMUM_SHARE), Math.trunc(nominal / handSize)));
  }

  /** Seats at once usable, whatever others want. */
  get wanted(): number {
    const { lower, nominal } = this.bounds;
    const { highWatermark } = this.demand.last;
    return Math.max(lower, this.isExempt ? highWatermark : Math.min(nominal, highWatermark));
  }

  countersOf(schema: string): FlowCounters {
    let counters = this.counters.get(schema);
    if (counters === undefined) this.counters.set(schema, (counters = new FlowCounters()));
    return counters;
  }
}
