import { loadEtcdCodec } from "@coracle/api";
import type { Clock, Timer } from "@coracle/base";
import type * as etcd from "@coracle/api/etcd";
import type { StreamingCall } from "../grpc/grpc-channel.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { keyToBytes } from "../store/key-text.ts";
import {
  CompactedError,
  StoreError,
  type Revision,
  type StoreEvent,
  type WatchRequest,
  type WatchSink,
} from "../store/store.ts";
import { isElsewhere, type Endpoints } from "./endpoints.ts";
import { revisionIn, revisionOf, toEvent, toStoreError } from "./messages.ts";

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;
const ENDED = "the watch was ended by the server";
const PATH = "/etcdserverpb.Watch/Watch";

/**
 * One watch on a cluster, over a stream of its own. When the stream is lost, it goes on at another member after the last revision that was
 * delivered completely: nothing is left out and nothing comes twice.
 */
export class RemoteWatch {
  readonly #endpoints: Endpoints;
  readonly #clock: Clock;
  readonly #request: WatchRequest;
  readonly #sink: WatchSink;
  readonly #onEnd: () => void;
  #call: StreamingCall | undefined;
  #retry: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  /** First revision that was not delivered; 0 until the watch has begun. */
  #next: Revision;
  /** Of a revision whose events come in several messages. */
  #pending: StoreEvent[] = [];
  #isOver = false;
  #attempts = 0;
  #begun: ((outcome: Revision | StoreError) => void) | undefined;

  constructor(options: {
    readonly endpoints: Endpoints;
    readonly clock: Clock;
    readonly request: WatchRequest;
    readonly sink: WatchSink;
    readonly onEnd: () => void;
  }) {
    this.#endpoints = options.endpoints;
    this.#clock = options.clock;
    this.#request = options.request;
    this.#sink = options.sink;
    this.#onEnd = options.onEnd;
    this.#next = options.request.startRevision ?? 0;
  }

  /** Resolves with the store's revision when the cluster has taken the watch. */
  begin(): Promise<Revision> {
    return new Promise((resolve, reject) => {
      this.#begun = (outcome) => (typeof outcome === "number" ? resolve(outcome) : reject(outcome));
      this.#open();
    });
  }

  /** Whether the store is known to be further than what was delivered, and the watcher wants to know. */
  isBehind(revision: Revision): boolean {
    return this.#request.progress === true && revision >= this.#next && this.#begun === undefined;
  }

  /** Asks the server how far the watch is. */
  requestProgress(): void {
    this.#send({ progressRequest: {} });
  }

  /** A key in the watched range that stands for nothing: a write to it arrives after everything before it. */
  get nudgeKey(): string {
    return `${this.#request.key}~progress`;
  }

  /** Ends the watch. With a reason, the sink is told. */
  end(reason?: StoreError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#retry?.[Symbol.dispose]();
    this.#call?.cancel();
    this.#onEnd();
    const begun = this.#begun;
    this.#begun = undefined;
    const why = reason ?? new StoreError("closed", "the watch is closed");
    if (begun !== undefined) begun(why);
    else if (reason !== undefined) this.#sink.closed(reason);
  }

  #send(message: etcd.WatchRequest): void {
    this.#call?.send(loadEtcdCodec().encode("etcdserverpb.WatchRequest", message));
  }

  #open(): void {
    if (this.#isOver) return;
    this.#pending = [];
    this.#attempts += 1;
    const call = this.#endpoints.stream(PATH, {
      message: (bytes) => {
        if (call === this.#call) this.#take(loadEtcdCodec().decode("etcdserverpb.WatchResponse", bytes));
      },
      ended: (error) => {
        if (call === this.#call) this.#lost(error ?? new GrpcError(grpcCode.unavailable, ENDED));
      },
    });
    this.#call = call;
    const { key, end, progress } = this.#request;
    this.#send({
      createRequest: {
        key: keyToBytes(key),
        rangeEnd: end === undefined ? undefined : keyToBytes(end),
        startRevision: BigInt(this.#next),
        progressNotify: progress,
        prevKv: true,
        fragment: true,
      },
    });
  }

  #lost(error: GrpcError): void {
    this.#call = undefined;
    if (this.#isOver) return;
    if (this.#begun !== undefined) {
      // Before it has begun there is nothing to go on from: when no member takes it, the caller decides.
      if (isElsewhere(error) && this.#attempts < this.#endpoints.count) this.#open();
      else this.end(toStoreError(error));
      return;
    }
    this.#retry = this.#clock.after(this.#retryMs, () => this.#open());
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  #take(message: etcd.WatchResponse): void {
    if (this.#isOver) return;
    const revision = revisionIn(message);
    if (message.canceled === true) {
      this.#cancelled(message);
      return;
    }
    if (message.created === true) {
      this.#retryMs = FIRST_RETRY_MS;
      if (this.#next === 0) this.#next = revision + 1;
      const begun = this.#begun;
      this.#begun = undefined;
      begun?.(revision);
      return;
    }
    this.#deliver(message, revision);
  }

  /** What is compacted is lost for good. Other reasons pass: rights come back, tokens are renewed, leaders elected. */
  #cancelled({ compactRevision = 0n, cancelReason = "" }: etcd.WatchResponse): void {
    if (compactRevision > 0n) {
      this.end(new CompactedError(Number(compactRevision)));
      return;
    }
    const call = this.#call;
    this.#lost(new GrpcError(grpcCode.unknown, cancelReason === "" ? ENDED : cancelReason));
    call?.cancel();
  }

  #deliver(message: etcd.WatchResponse, revision: Revision): void {
    const wire = message.events ?? [];
    if (wire.length === 0 && message.fragment !== true && this.#pending.length === 0) {
      // A progress notice: everything up to its revision was delivered before.
      if (this.#request.progress === true && revision >= this.#next) {
        this.#next = revision + 1;
        this.#sink.events([], revision);
      }
      return;
    }
    for (const event of wire) this.#pending.push(toEvent(event));
    if (message.fragment === true) return;
    const events = this.#pending;
    this.#pending = [];
    for (let from = 0; from < events.length;) {
      const at = revisionOf(events[from] as StoreEvent);
      let to = from + 1;
      while (to < events.length && revisionOf(events[to] as StoreEvent) === at) to++;
      if (at >= this.#next) {
        this.#next = at + 1;
        const isNudge = to === from + 1 && keyOf(events[from] as StoreEvent) === this.nudgeKey;
        this.#sink.events(isNudge ? [] : events.slice(from, to), at);
        if (this.#isOver) return;
      }
      from = to;
    }
  }
}

const keyOf = (event: StoreEvent): string => (event.type === "put" ? event.kv.key : event.key);
