import type { Pod } from "@coracle/api/core/v1";
import type { Clock, Timer } from "@coracle/base";
import type { ClusterChange, ClusterEvent, PodEvent, QueuedPod } from "../framework/plugin.ts";
import { uidOf } from "../state/node-state.ts";
import { eventLabel } from "./event-label.ts";
import { EventLog } from "./event-log.ts";
import { PodHeap } from "./pod-heap.ts";
import { PodsAside } from "./pods-aside.ts";

/** Where a pod waits: upstream's names, as its metrics have them. */
export type QueueName = "active" | "backoff" | "unschedulable" | "gated";

/** A plugin keeps a pod outside. */
export interface Gate {
  readonly plugin: string;
  readonly reason: string;
}

export interface SchedulingQueueOptions {
  readonly clock: Clock;
  /** Who goes first. */
  readonly compare: (a: QueuedPod, b: QueuedPod) => number;
  /** Who keeps the pod waiting outside; undefined lets it in. */
  readonly preEnqueue: (pod: Pod) => Gate | undefined;
  /** Whether a plugin, of whichever profile, asks to be told of such changes at all; absent: it does. */
  readonly isRegistered?: (plugin: string, event: ClusterEvent) => boolean;
  /** Whether a change may help a pod that this plugin rejected. Must not throw. */
  readonly isHelpful: (plugin: string, change: ClusterChange, pod: Pod) => boolean;
  readonly initialBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** A pod nobody woke is tried again after so long: the safety net. */
  readonly maxUnschedulableMs?: number;
  /** Told of each pod that comes into a queue, and of the event that brought it there. */
  readonly onIncoming?: (queue: QueueName, event: string) => void;
}

const INITIAL_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 10_000;
const MAX_UNSCHEDULABLE_MS = 300_000;

interface Waiting extends QueuedPod {
  /** No new attempt before this time (monotonic). */
  readonly notBefore: number;
  /** In the pool of those that did not fit since then (monotonic). */
  readonly rejectedAt: number;
}

/**
 * Pods that wait for a node, in four places: ready to be tried, backing off after a failure, put aside until something
 * happens that may help, or held at the gate. A pod is in one of them or in flight, never lost between them.
 */
export class SchedulingQueue {
  readonly #options: SchedulingQueueOptions;
  readonly #active: PodHeap<QueuedPod>;
  /** After a "no" that something may have turned: may go before its time when nobody else is ready. */
  readonly #backoff: PodHeap<Waiting>;
  /** After an error: waits out its time. */
  readonly #errorBackoff = new PodHeap<Waiting>((a, b) => a.notBefore < b.notBefore);
  /** In the order in which they were rejected. */
  readonly #unschedulable = new PodsAside<Waiting>();
  readonly #gated = new PodsAside<QueuedPod>();
  readonly #log = new EventLog();
  #lastSince = 0;
  #timer: { readonly due: number; readonly timer: Timer } | undefined;
  #wake: (() => void) | undefined;

  constructor(options: SchedulingQueueOptions) {
    this.#options = options;
    this.#active = new PodHeap((a, b) => options.compare(a, b) < 0);
    this.#backoff = new PodHeap((a, b) => a.notBefore < b.notBefore);
  }

  /** A new or changed pod without a node. `old`: as it was before; `events`: what changed of it. */
  set(pod: Pod, old?: Pod, events: readonly PodEvent[] = ["pod-changed"]): void {
    const uid = uidOf(pod);
    if (this.#log.isInFlight(uid)) {
      for (const event of events) this.#log.add({ event, old, current: pod });
      return;
    }
    const active = this.#active.get(uid);
    if (active !== undefined) return this.#active.set({ ...active, pod });
    for (const heap of [this.#backoff, this.#errorBackoff]) {
      const held = heap.get(uid);
      if (held !== undefined) return heap.set({ ...held, pod });
    }
    const gated = this.#gated.get(uid);
    if (gated !== undefined) {
      this.#gated.delete(uid);
      this.#admit({ ...gated, pod }, "UnschedulablePodUpdate");
      return;
    }
    const aside = this.#unschedulable.get(uid);
    if (aside === undefined) {
      // No two come at the same time: who came first goes first.
      const since = Math.max(this.#options.clock.now(), this.#lastSince + 1 / 1024);
      this.#lastSince = since;
      this.#admit({ pod, since, attempts: 0, rejectedBy: new Set() }, "UnschedulablePodAdd");
      return;
    }
    const now = { ...aside, pod };
    const helpful = events.find((event) => this.#mayHelp(now, { event, old, current: pod }));
    if (helpful === undefined) this.#unschedulable.set(uid, now);
    else {
      this.#unschedulable.delete(uid);
      this.#admit(now, eventLabel({ event: helpful }), aside.notBefore);
      this.#schedule();
    }
  }

  /** The pod is gone or has a node. */
  delete(pod: Pod): void {
    const uid = uidOf(pod);
    this.#active.delete(uid);
    this.#backoff.delete(uid);
    this.#errorBackoff.delete(uid);
    this.#unschedulable.delete(uid);
    this.#gated.delete(uid);
  }

  /** The next pod, or undefined when none is ready. When nobody is, one that backs off after a "no" need not wait. */
  pop(): QueuedPod | undefined {
    const ready = this.#active.first();
    const next = ready ?? this.#backoff.first();
    if (next === undefined) return undefined;
    if (ready === undefined) this.#came("active", "PopFromBackoffQ");
    const uid = uidOf(next.pod);
    this.#active.delete(uid);
    this.#backoff.delete(uid);
    this.#log.begin(uid);
    return next;
  }

  /** Resolves when there may be a pod to pop, or the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#active.size > 0 || this.#backoff.size > 0 || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** The attempt succeeded, or the pod needs none any more. */
  done(pod: Pod): void {
    this.#log.end(uidOf(pod));
  }

  /** The attempt failed: for lack of a fitting node (`rejectedBy`), or by an error (empty). */
  failed(entry: QueuedPod, rejectedBy: ReadonlySet<string>, latest: Pod): void {
    const uid = uidOf(entry.pod);
    const missed = this.#log.end(uid);
    const now = this.#options.clock.monotonicMs();
    const isError = rejectedBy.size === 0;
    const errors = isError ? (entry.errors ?? 0) + 1 : 0;
    const attempts = entry.attempts + 1;
    const waiting: Waiting = {
      ...entry,
      pod: latest,
      attempts,
      errors,
      rejectedBy,
      notBefore: now + this.#backoffMs(isError ? errors : attempts),
      rejectedAt: now,
    };
    if (isError) {
      this.#errorBackoff.set(waiting);
      this.#came("backoff", "ScheduleAttemptFailure");
    } else if (missed.some((change) => this.#mayHelp(waiting, change))) {
      // What happened while it was tried was not seen by the attempt.
      this.#backoff.set(waiting);
      this.#came("backoff", "ScheduleAttemptFailure");
      this.#wake?.();
    } else {
      this.#unschedulable.set(uid, waiting);
      this.#came("unschedulable", "ScheduleAttemptFailure");
    }
    this.#schedule();
  }

  /** Something happened: pods it may help come back. */
  notify(change: ClusterEvent | ClusterChange): void {
    const what: ClusterChange = typeof change === "string" ? { event: change } : change;
    this.#log.add(what);
    if (this.#unschedulable.size === 0 && this.#gated.size === 0) return;
    const { isRegistered = () => true } = this.#options;
    const concerns = (plugin: string): boolean => isRegistered(plugin, what.event);
    const label = eventLabel(what);
    for (const [uid, waiting] of this.#unschedulable.someRejectedBy(concerns) ? this.#unschedulable.entries() : []) {
      if (!this.#mayHelp(waiting, what)) continue;
      this.#unschedulable.delete(uid);
      this.#admit(waiting, label, waiting.notBefore);
    }
    for (const [uid, gated] of this.#gated.someRejectedBy(concerns) ? this.#gated.entries() : []) {
      if (!this.#mayHelp(gated, what)) continue;
      this.#gated.delete(uid);
      this.#admit(gated, label);
    }
    this.#schedule();
  }

  /** Pods that shall be tried now whatever happened: a plugin says so. */
  activate(pods: Iterable<Pod>): void {
    for (const pod of pods) {
      const uid = uidOf(pod);
      const entry = this.#unschedulable.get(uid) ?? this.#backoff.get(uid) ?? this.#errorBackoff.get(uid);
      if (entry === undefined) continue;
      this.delete(pod);
      this.#admit(entry, "ForceActivate");
    }
  }

  /** Waiting in all places. */
  get size(): number {
    const { active, backoff, unschedulable, gated } = this.counts();
    return active + backoff + unschedulable + gated;
  }

  /** How many wait where. */
  counts(): Readonly<Record<QueueName, number>> {
    return {
      active: this.#active.size,
      backoff: this.#backoff.size + this.#errorBackoff.size,
      unschedulable: this.#unschedulable.size,
      gated: this.#gated.size,
    };
  }

  /** Changes kept for attempts under way, and those attempts, by upstream's word. */
  inFlight(): ReadonlyMap<string, number> {
    return this.#log.counts();
  }

  /** All who wait, with the place. */
  *entries(): Iterable<readonly [QueueName, QueuedPod]> {
    for (const entry of this.#active.values()) yield ["active", entry];
    for (const entry of this.#backoff.values()) yield ["backoff", entry];
    for (const entry of this.#errorBackoff.values()) yield ["backoff", entry];
    for (const entry of this.#unschedulable.values()) yield ["unschedulable", entry];
    for (const entry of this.#gated.values()) yield ["gated", entry];
  }

  #backoffMs(count: number): number {
    const { initialBackoffMs = INITIAL_BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS } = this.#options;
    return Math.min(initialBackoffMs * 2 ** Math.max(0, count - 1), maxBackoffMs);
  }

  #mayHelp(waiting: QueuedPod, change: ClusterChange): boolean {
    for (const plugin of waiting.rejectedBy) if (this.#options.isHelpful(plugin, change, waiting.pod)) return true;
    return false;
  }

  #came(queue: QueueName, event: string): void {
    this.#options.onIncoming?.(queue, event);
  }

  #admit(entry: QueuedPod, event: string, notBefore = 0): void {
    const uid = uidOf(entry.pod);
    const { clock, preEnqueue } = this.#options;
    const gate = preEnqueue(entry.pod);
    if (gate !== undefined) {
      const { pod, since, attempts } = entry;
      this.#gated.set(uid, { pod, since, attempts, rejectedBy: new Set([gate.plugin]) });
      this.#came("gated", event);
      return;
    }
    const admitted = { ...entry, admittedAt: entry.admittedAt ?? clock.now() };
    if (notBefore > clock.monotonicMs()) {
      this.#backoff.set({ ...admitted, notBefore, rejectedAt: 0 });
      this.#came("backoff", event);
    } else {
      this.#active.set(admitted);
      this.#came("active", event);
    }
    this.#wake?.();
  }

  /** One timer for the earliest pod that comes back by time. */
  #schedule(): void {
    const { clock } = this.#options;
    const [oldest] = this.#unschedulable.values();
    const due = Math.min(
      this.#backoff.first()?.notBefore ?? Infinity,
      this.#errorBackoff.first()?.notBefore ?? Infinity,
      oldest === undefined ? Infinity : oldest.rejectedAt + this.#maxUnschedulableMs,
    );
    if (this.#timer !== undefined && this.#timer.due <= due) return;
    this.close();
    if (due === Infinity) return;
    const timer = clock.after(due - clock.monotonicMs(), () => {
      this.#timer = undefined;
      this.#release();
      this.#schedule();
    });
    timer.unref();
    this.#timer = { due, timer };
  }

  get #maxUnschedulableMs(): number {
    return this.#options.maxUnschedulableMs ?? MAX_UNSCHEDULABLE_MS;
  }

  #release(): void {
    const now = this.#options.clock.monotonicMs();
    for (const heap of [this.#backoff, this.#errorBackoff]) {
      for (let next = heap.first(); next !== undefined && next.notBefore <= now; next = heap.first()) {
        heap.delete(uidOf(next.pod));
        this.#admit(next, "BackoffComplete");
      }
    }
    for (const waiting of this.#unschedulable.values()) {
      if (waiting.rejectedAt + this.#maxUnschedulableMs > now) break; // the others came later
      this.#unschedulable.delete(uidOf(waiting.pod));
      this.#admit(waiting, "UnschedulableTimeout", waiting.notBefore);
    }
  }

  /** Drops the pending timer. */
  close(): void {
    this.#timer?.timer[Symbol.dispose]();
    this.#timer = undefined;
  }
}
