import { loadEtcdCodec } from "@coracle/api";
import type * as etcd from "@coracle/api/etcd";
import type { GrpcHandler, ServerCall, ServerSink } from "../grpc/grpc-server.ts";
import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import {
  CompactedError,
  type Revision,
  type StoreError,
  type StoreEvent,
  type WatchHandle,
  type WatchSink,
} from "../store/store.ts";
import { grpcCodeName } from "../grpc/grpc-error.ts";
import { callerOf, rangeOf } from "./access.ts";
import { toStatus } from "./etcd-error.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { decode } from "./unary.ts";
import { fromKeyValue } from "./wire.ts";

/** Events of more bytes than this go into several messages, for clients that can put them together. */
const FRAGMENT_BYTES = 1_500_000;
const EVENT_OVERHEAD_BYTES = 64;
const NO_ID = -1n;

/** Service etcdserverpb.Watch. `progressMs`: how often quiet watches that ask for it are told how far they are. */
export function watchService(context: EtcdContext, progressMs: number): readonly (readonly [string, GrpcHandler])[] {
  return [
    ["/etcdserverpb.Watch/Watch", { type: "stream", handle: (call) => new WatchStream(context, call, progressMs) }],
  ];
}

/** All watches of one call. A client that does not read costs nothing: its watches stop and go on from where they were. */
class WatchStream implements ServerSink {
  readonly context: EtcdContext;
  readonly #call: ServerCall;
  readonly #progressMs: number;
  readonly #watches = new Map<bigint, Watch>();
  #nextId = 0n;
  /** Requests are taken one after another. */
  #last: Promise<void> = Promise.resolve();
  isCongested = false;
  /** A client waits to hear that everything up to here was sent. */
  #progressDue: Revision | undefined;
  #timer: Disposable | undefined;

  constructor(context: EtcdContext, call: ServerCall, progressMs: number) {
    this.context = context;
    this.#call = call;
    this.#progressMs = progressMs;
    call.signal.addEventListener("abort", () => this.#close(), { once: true });
  }

  message(bytes: Buffer): void {
    const request = decode("etcdserverpb.WatchRequest", bytes);
    this.#last = this.#last.then(() => this.#take(request)).catch((error: unknown) => this.#call.end(toStatus(error)));
  }

  ended(): void {
    void this.#last.then(() => {
      this.#close();
      this.#call.end();
    });
  }

  drained(): void {
    this.isCongested = false;
    for (const watch of this.#watches.values()) watch.resume();
  }

  send(response: etcd.WatchResponse, revision: Revision): void {
    const header = headerOf(this.context, revision);
    const bytes = loadEtcdCodec().encode("etcdserverpb.WatchResponse", { ...response, header });
    if (!this.#call.send(bytes)) this.isCongested = true;
  }

  cancelled(id: bigint): void {
    this.#watches.delete(id);
  }

  async #take(request: etcd.WatchRequest): Promise<void> {
    if (request.createRequest !== undefined) await this.#create(request.createRequest);
    else if (request.cancelRequest !== undefined) await this.#cancel(request.cancelRequest.watchId ?? 0n);
    else if (request.progressRequest !== undefined) await this.#tellProgress();
  }

  async #create(request: etcd.WatchCreateRequest): Promise<void> {
    const revision = await this.context.store.revision();
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      this.send({ watchId: NO_ID, created: true, canceled: true, cancelReason: refusal }, revision);
      return;
    }
    let id = request.watchId ?? 0n;
    if (id === 0n) {
      while (this.#watches.has(this.#nextId)) this.#nextId += 1n;
      id = this.#nextId;
      this.#nextId += 1n;
    } else if (this.#watches.has(id)) {
      const cancelReason = "etcdserver: duplicate watch ID provided on the WatchStream";
      this.send({ watchId: NO_ID, created: true, canceled: true, cancelReason }, revision);
      return;
    }
    const watch = new Watch(this, id, request, revision);
    this.#watches.set(id, watch);
    this.send({ watchId: id, created: true }, revision);
    if (request.progressNotify === true) this.#armProgress();
    watch.resume();
  }

  /** Why the caller may not watch this, in the words of the client's library. */
  #refusal(request: etcd.WatchCreateRequest): string | undefined {
    const { auth } = this.context;
    if (!auth.state.enabled) return undefined;
    const { key, rangeEnd } = request;
    try {
      auth.checkRead(
        callerOf(this.context, this.#call),
        rangeOf({ key: key?.length === 0 ? Buffer.alloc(1) : key, rangeEnd }),
      );
      return undefined;
    } catch (error) {
      const { code, message } = toStatus(error);
      return `rpc error: code = ${grpcCodeName(code)} desc = ${message}`;
    }
  }

  async #cancel(id: bigint): Promise<void> {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    watch.stop();
    this.#watches.delete(id);
    this.send({ watchId: id, canceled: true }, await this.context.store.revision());
  }

  /** One answer for all watches, when everything up to its revision was sent. */
  async #tellProgress(): Promise<void> {
    const revision = await this.context.store.revision();
    this.#progressDue = Math.max(this.#progressDue ?? 0, revision);
    this.advanced();
  }

  /** A watch has got further. */
  advanced(): void {
    const due = this.#progressDue;
    if (due === undefined || ![...this.#watches.values()].every((watch) => watch.isAt(due))) return;
    this.#progressDue = undefined;
    this.send({ watchId: NO_ID }, due);
  }

  #armProgress(): void {
    if (this.#timer !== undefined) return;
    const timer = this.context.clock.after(this.#progressMs, () => {
      this.#timer = undefined;
      void this.context.store
        .revision()
        .then((revision) => {
          for (const watch of this.#watches.values()) watch.tellProgress(revision);
          if (!this.#call.signal.aborted) this.#armProgress();
        })
        .catch(() => undefined);
    });
    timer.unref();
    this.#timer = timer;
  }

  #close(): void {
    this.#timer?.[Symbol.dispose]();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }
}

class Watch implements WatchSink {
  readonly #stream: WatchStream;
  readonly #id: bigint;
  readonly #request: etcd.WatchCreateRequest;
  readonly #skipped: ReadonlySet<StoreEvent["type"]>;
  #next: Revision;
  #handle: WatchHandle | undefined;
  #isOver = false;
  /** Something was sent since progress was told last. */
  #hasSent = false;

  constructor(stream: WatchStream, id: bigint, request: etcd.WatchCreateRequest, now: Revision) {
    this.#stream = stream;
    this.#id = id;
    this.#request = request;
    const start = Number(request.startRevision ?? 0n);
    this.#next = start > 0 ? start : now + 1;
    this.#skipped = new Set((request.filters ?? []).map((filter) => (filter === "NOPUT" ? "put" : "delete")));
  }

  /** Whether everything up to `revision` was sent. */
  isAt(revision: Revision): boolean {
    return this.#next > revision;
  }

  tellProgress(revision: Revision): void {
    if (this.#request.progressNotify === true && !this.#hasSent && this.isAt(revision)) {
      this.#stream.send({ watchId: this.#id }, revision);
    }
    this.#hasSent = false;
  }

  /** Goes on from the first revision that was not sent. */
  resume(): void {
    if (this.#handle !== undefined || this.#isOver) return;
    const { key = Buffer.alloc(0), rangeEnd } = this.#request;
    const end = rangeEnd === undefined || rangeEnd.length === 0 ? undefined : keyFromBytes(rangeEnd);
    // An empty key with an end begins at the first key there is.
    const first = key.length === 0 && end !== undefined ? "\0" : keyFromBytes(key);
    this.#stream.context.store.watch({ key: first, end, startRevision: this.#next, progress: true }, this).then(
      (handle) => {
        if (this.#isOver || this.#stream.isCongested) handle[Symbol.dispose]();
        else this.#handle = handle;
      },
      (error: StoreError) => this.closed(error),
    );
  }

  #pause(): void {
    this.#handle?.[Symbol.dispose]();
    this.#handle = undefined;
  }

  stop(): void {
    this.#isOver = true;
    this.#pause();
  }

  events(events: readonly StoreEvent[], revision: Revision): void {
    // A pause that was asked for from within a delivery: what still comes is read again later.
    if (this.#isOver || revision < this.#next || this.#stream.isCongested) return;
    this.#next = revision + 1;
    const wanted = this.#skipped.size === 0 ? events : events.filter((event) => !this.#skipped.has(event.type));
    if (wanted.length > 0) this.#send(wanted, revision);
    if (this.#stream.isCongested) this.#pause();
    this.#stream.advanced();
  }

  #send(events: readonly StoreEvent[], revision: Revision): void {
    this.#hasSent = true;
    const wire = events.map((event) => fromEvent(event, this.#request.prevKv === true));
    if (this.#request.fragment !== true) {
      this.#stream.send({ watchId: this.#id, events: wire }, revision);
      return;
    }
    let part: etcd.Event[] = [];
    let bytes = 0;
    for (const event of wire) {
      const size = sizeOf(event);
      if (part.length > 0 && bytes + size > FRAGMENT_BYTES) {
        this.#stream.send({ watchId: this.#id, events: part, fragment: true }, revision);
        part = [];
        bytes = 0;
      }
      part.push(event);
      bytes += size;
    }
    this.#stream.send({ watchId: this.#id, events: part }, revision);
  }

  closed(reason: StoreError): void {
    if (this.#isOver) return;
    this.stop();
    this.#stream.cancelled(this.#id);
    const compactRevision = reason instanceof CompactedError ? reason.compactRevision : 0;
    const cancelReason = reason.code === "closed" ? "etcdserver: server stopped" : reason.message;
    this.#stream.send(
      { watchId: this.#id, canceled: true, compactRevision: BigInt(compactRevision), cancelReason },
      this.#next - 1,
    );
  }
}

function fromEvent(event: StoreEvent, withPrevious: boolean): etcd.Event {
  const prevKv = withPrevious && event.previous !== undefined ? fromKeyValue(event.previous) : undefined;
  if (event.type === "put") return { type: "PUT", kv: fromKeyValue(event.kv), prevKv };
  return { type: "DELETE", kv: { key: keyToBytes(event.key), modRevision: BigInt(event.modRevision) }, prevKv };
}

const sizeOf = ({ kv, prevKv }: etcd.Event): number =>
  EVENT_OVERHEAD_BYTES + (kv?.key?.length ?? 0) + (kv?.value?.length ?? 0) + (prevKv?.value?.length ?? 0);
