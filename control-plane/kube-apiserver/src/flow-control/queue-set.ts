import { dealHand, hashFlow } from "./shuffle-sharding.ts";
import { maxSeatsOf, type WorkEstimate } from "./work-estimate.ts";

/** How requests of a priority level may wait. */
export interface QueueLimits {
  /** -1: nothing is ever limited; 0: nobody waits. */
  readonly queues: number;
  readonly handSize: number;
  readonly queueLengthLimit: number;
}

/** Why a request was refused, as the metrics name it. */
export type RejectReason = "concurrency-limit" | "queue-full" | "time-out";

/** One request in a queue set: waiting, or taking seats. */
export class SeatRequest {
  readonly schema: string;
  readonly distinguisher: string;
  readonly arrivedAt: number;
  readonly seats: number;
  work: WorkEstimate;
  /** Undefined: it has not started. */
  startedAt: number | undefined = undefined;
  queue: RequestQueue | undefined = undefined;
  /** Virtual time at arrival. */
  arrivalR = 0;
  /** Told once, when a waiting request may start. */
  onStart: (() => void) | undefined = undefined;

  constructor(schema: string, distinguisher: string, work: WorkEstimate, arrivedAt: number) {
    this.schema = schema;
    this.distinguisher = distinguisher;
    this.work = work;
    this.seats = maxSeatsOf(work);
    this.arrivedAt = arrivedAt;
  }
}

/** Requests of some flows, in order. */
export class RequestQueue {
  readonly waiting: SeatRequest[] = [];
  readonly executing = new Set<SeatRequest>();
  waitingSeats = 0;
  waitingWork = 0;
  seatsInUse = 0;
  /** Virtual time at which its next request would start. */
  nextDispatchR = 0;
}

/** A guess at how long a request takes, put right when it is over. */
const SERVICE_SECONDS = 0.003;

const workOf = ({ work }: SeatRequest): number =>
  work.initialSeats * SERVICE_SECONDS + (work.finalSeats * work.additionalLatencyMs) / 1000;

/**
 * The requests of one priority level: who may start, who waits, who is refused. Requests that wait are started in
 * the order in which they would end if all queues were served at once and alike. Pure: it is told the time, in
 * milliseconds, and starts nothing by itself.
 */
export class QueueSet {
  #limits: QueueLimits;
  #seatLimit: number;
  #queues: RequestQueue[] = [];
  #queueless = new Set<SeatRequest>();
  #robin = 0;
  #enqueued = 0;
  #virtualTime = 0;
  #syncedAt: number;
  /** Told when the request whose turn it is finds too few seats. */
  onNoRoom: ((request: SeatRequest) => void) | undefined = undefined;
  seatsInUse = 0;
  seatsWaiting = 0;
  executing = 0;
  waiting = 0;
  dispatched = 0;
  rejected = 0;
  cancelled = 0;

  constructor(limits: QueueLimits, seatLimit: number, now: number) {
    this.#limits = limits;
    this.#seatLimit = seatLimit;
    this.#syncedAt = now;
    this.#makeQueues();
  }

  get queues(): readonly RequestQueue[] {
    return this.#queues;
  }

  get queueless(): ReadonlySet<SeatRequest> {
    return this.#queueless;
  }

  get virtualTime(): number {
    return this.#virtualTime;
  }

  get seatLimit(): number {
    return this.#seatLimit;
  }

  get isIdle(): boolean {
    return this.waiting === 0 && this.executing === 0;
  }

  /** Seats that could be used. */
  get demand(): number {
    return this.seatsInUse + this.seatsWaiting;
  }

  #makeQueues(): void {
    while (this.#queues.length < this.#limits.queues) this.#queues.push(new RequestQueue());
  }

  configure(limits: QueueLimits, seatLimit: number, now: number): void {
    this.#sync(now);
    this.#limits = limits;
    this.#seatLimit = seatLimit;
    this.#makeQueues();
    this.#dropSpareQueues();
    this.#dispatch(now);
  }

  /** Queues too many go when they are empty. */
  #dropSpareQueues(): void {
    while (this.#queues.length > Math.max(0, this.#limits.queues)) {
      const last = this.#queues.at(-1)!;
      if (last.waiting.length > 0 || last.executing.size > 0) return;
      this.#queues.pop();
    }
  }

  #hasRoomFor(seats: number): boolean {
    if (this.#limits.queues < 0) return true;
    if (seats > this.#seatLimit) return this.executing === 0;
    return this.seatsInUse + seats <= this.#seatLimit;
  }

  /** Starts a request, lets it wait (`onStart`, set after this, tells it), or says why not. */
  add(request: SeatRequest, now: number): "started" | "waiting" | RejectReason {
    if (this.waiting === 0 && this.#hasRoomFor(request.seats)) {
      this.#queueless.add(request);
      this.#start(request, now);
      return "started";
    }
    if (this.#limits.queues < 1) {
      this.rejected += 1;
      return "concurrency-limit";
    }
    this.#sync(now);
    const queue = this.#lightestOfHand(request);
    if (queue.waiting.length >= this.#limits.queueLengthLimit && this.seatsInUse >= this.#seatLimit) {
      this.rejected += 1;
      return "queue-full";
    }
    request.queue = queue;
    request.arrivalR = this.#virtualTime;
    if (queue.waiting.length === 0 && queue.executing.size === 0) queue.nextDispatchR = this.#virtualTime;
    queue.waiting.push(request);
    queue.waitingSeats += request.seats;
    queue.waitingWork += workOf(request);
    this.waiting += 1;
    this.seatsWaiting += request.seats;
    this.#bound(queue);
    this.#dispatch(now);
    return request.startedAt === undefined ? "waiting" : "started";
  }

  #lightestOfHand({ schema, distinguisher }: SeatRequest): RequestQueue {
    const { queues, handSize } = this.#limits;
    const hand = queues === 1 ? [0] : dealHand(hashFlow(schema, distinguisher), queues, handSize);
    // Hands that overlap do not all begin with the same queue.
    const from = this.#enqueued++ % hand.length;
    let best = this.#queues[hand[from]!]!;
    for (let i = 1; i < hand.length; i++) {
      const queue = this.#queues[hand[(from + i) % hand.length]!]!;
      if (queue.waitingWork < best.waitingWork) best = queue;
    }
    return best;
  }

  /** A waiting request waits no longer: its client is gone, or it waited too long. False: it has started. */
  cancel(request: SeatRequest, now: number): boolean {
    const { queue } = request;
    const index = queue?.waiting.indexOf(request) ?? -1;
    if (queue === undefined || index === -1) return false;
    this.#sync(now);
    queue.waiting.splice(index, 1);
    this.#leaveQueue(queue, request);
    this.rejected += 1;
    this.cancelled += 1;
    this.#bound(queue);
    this.#dropSpareQueues();
    return true;
  }

  #leaveQueue(queue: RequestQueue, request: SeatRequest): void {
    queue.waitingSeats -= request.seats;
    queue.waitingWork = queue.waiting.length === 0 ? 0 : queue.waitingWork - workOf(request);
    this.waiting -= 1;
    this.seatsWaiting -= request.seats;
  }

  /** A request is over. Its seats may be kept for what follows: then `release` gives them back. */
  finish(request: SeatRequest, now: number): void {
    const { queue } = request;
    if (queue === undefined) this.#queueless.delete(request);
    else {
      this.#sync(now);
      queue.executing.delete(request);
      const actual = (now - (request.startedAt ?? now)) / 1000;
      queue.nextDispatchR -= (SERVICE_SECONDS - actual) * request.work.initialSeats;
      this.#bound(queue);
    }
    this.executing -= 1;
    if (request.work.additionalLatencyMs <= 0) this.release(request, now);
  }

  release(request: SeatRequest, now: number): void {
    if (this.waiting > 0 || request.queue !== undefined) this.#sync(now);
    this.seatsInUse -= request.seats;
    if (request.queue !== undefined) request.queue.seatsInUse -= request.seats;
    if (this.waiting > 0) this.#dispatch(now);
    if (this.#queues.length > this.#limits.queues) this.#dropSpareQueues();
  }

  #start(request: SeatRequest, now: number): void {
    request.startedAt = now;
    this.seatsInUse += request.seats;
    this.executing += 1;
    this.dispatched += 1;
  }

  #dispatch(now: number): void {
    while (this.waiting > 0) {
      const queue = this.#nextQueue();
      const request = queue.waiting[0]!;
      if (!this.#hasRoomFor(request.seats)) {
        this.onNoRoom?.(request);
        return;
      }
      queue.waiting.shift();
      this.#leaveQueue(queue, request);
      queue.executing.add(request);
      queue.seatsInUse += request.seats;
      this.#start(request, now);
      queue.nextDispatchR += workOf(request);
      this.#bound(queue);
      request.onStart?.();
    }
  }

  /** The queue whose first request would be finished first; of several, the next in turn. */
  #nextQueue(): RequestQueue {
    let best: RequestQueue | undefined;
    let bestEnd = Infinity;
    let bestIndex = 0;
    const count = this.#queues.length;
    for (let i = 1; i <= count; i++) {
      const index = (this.#robin + i) % count;
      const queue = this.#queues[index]!;
      const first = queue.waiting[0];
      if (first === undefined) continue;
      const end = queue.nextDispatchR + workOf(first);
      if (end >= bestEnd) continue;
      best = queue;
      bestEnd = end;
      bestIndex = index;
    }
    this.#robin = bestIndex;
    return best!;
  }

  /** A queue that did not use what it could have used does not save it up. */
  #bound(queue: RequestQueue): void {
    const first = queue.waiting[0];
    if (first !== undefined && queue.nextDispatchR < first.arrivalR) queue.nextDispatchR = first.arrivalR;
  }

  /** Virtual time runs at the rate at which each active queue is served. */
  #sync(now: number): void {
    const elapsed = (now - this.#syncedAt) / 1000;
    this.#syncedAt = now;
    if (elapsed <= 0) return;
    let active = 0;
    let wanted = 0;
    for (const queue of this.#queues) {
      wanted += queue.seatsInUse + queue.waitingSeats;
      if (queue.waiting.length > 0 || queue.executing.size > 0) active += 1;
    }
    if (active > 0) this.#virtualTime += (Math.min(wanted, this.#seatLimit) / active) * elapsed;
  }
}
