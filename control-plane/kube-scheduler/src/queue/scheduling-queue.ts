import type { Pod } from "@coracle/api/core/v1";
import type { Clock, Timer } from "@coracle/base";
import type { ClusterEvent, QueuedPod } from "../framework/plugin.ts";
import { uidOf } from "../state/node-state.ts";

export interface SchedulingQueueOptions {
  readonly clock: Clock;
  /** Who goes first. */
  readonly compare: (a: QueuedPod, b: QueuedPod) => number;
  /** A reason to keep the pod waiting outside; undefined lets it in. */
  readonly preEnqueue: (pod: Pod) => string | undefined;
  /** Whether an event may help a pod that this plugin rejected. */
  readonly isHelpful: (plugin: string, event: ClusterEvent) => boolean;
}

const INITIAL_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 10_000;
/** A pod nobody woke is tried again after so long: the safety net. */
const MAX_UNSCHEDULABLE_MS = 300_000;

interface Waiting extends QueuedPod {
  /** No new attempt before this time (monotonic). */
  readonly notBefore: number;
  /** In the pool of those that did not fit since then (monotonic). */
  readonly rejectedAt: number;
}

/**
 * Pods that wait for a node, in three places: ready to be tried, backing off after a failure, or put aside until
 * something happens that may help.
 */
export class SchedulingQueue {
  readonly #options: SchedulingQueueOptions;
  readonly #active = new Map<string, QueuedPod>();
  readonly #backoff = new Map<string, Waiting>();
  readonly #unschedulable = new Map<string, Waiting>();
  /** Being tried, with the events that came meanwhile. */
  readonly #inFlight = new Map<string, ClusterEvent[]>();
  #sorted: QueuedPod[] | undefined;
  #timer: { readonly due: number; readonly timer: Timer } | undefined;
  #wake: (() => void) | undefined;

  constructor(options: SchedulingQueueOptions) {
    this.#options = options;
  }

  /** A new or changed pod without a node. */
  set(pod: Pod): void {
    const uid = uidOf(pod);
    if (this.#inFlight.has(uid)) {
      this.#inFlight.get(uid)?.push("pod-changed");
      return;
    }
    const known = this.#active.get(uid) ?? this.#backoff.get(uid) ?? this.#unschedulable.get(uid);
    const entry: QueuedPod =
      known === undefined
        ? { pod, since: this.#options.clock.now(), attempts: 0, rejectedBy: new Set() }
        : { ...known, pod };
    if (this.#active.has(uid)) {
      this.#activate(entry);
      return;
    }
    const held = this.#backoff.get(uid);
    if (held !== undefined) {
      this.#backoff.set(uid, { ...held, pod });
      return;
    }
    const aside = this.#unschedulable.get(uid);
    if (aside !== undefined && !this.#mayHelp(aside, "pod-changed")) this.#unschedulable.set(uid, { ...aside, pod });
    else {
      this.#unschedulable.delete(uid);
      this.#admit(entry);
    }
  }

  /** The pod is gone or has a node. */
  delete(pod: Pod): void {
    const uid = uidOf(pod);
    if (this.#active.delete(uid)) this.#sorted = undefined;
    this.#backoff.delete(uid);
    this.#unschedulable.delete(uid);
  }

  /** The next pod, or undefined when none is ready. */
  pop(): QueuedPod | undefined {
    this.#sorted ??= [...this.#active.values()].sort((a, b) => this.#options.compare(b, a));
    const next = this.#sorted.pop();
    if (next === undefined) return undefined;
    const uid = uidOf(next.pod);
    this.#active.delete(uid);
    this.#inFlight.set(uid, []);
    return next;
  }

  /** Resolves when there may be a pod to pop, or the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.#active.size > 0 || signal.aborted) return;
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
    this.#inFlight.delete(uidOf(pod));
  }

  /** The attempt failed: for lack of a fitting node (`rejectedBy`), or by an error (empty). */
  failed(entry: QueuedPod, rejectedBy: ReadonlySet<string>, latest: Pod): void {
    const uid = uidOf(entry.pod);
    const missed = this.#inFlight.get(uid) ?? [];
    this.#inFlight.delete(uid);
    const now = this.#options.clock.monotonicMs();
    const attempts = entry.attempts + 1;
    const delay = Math.min(INITIAL_BACKOFF_MS * 2 ** (attempts - 1), MAX_BACKOFF_MS);
    const waiting: Waiting = {
      pod: latest,
      since: entry.since,
      attempts,
      rejectedBy,
      notBefore: now + delay,
      rejectedAt: now,
    };
    // What happened while it was tried was not seen by the attempt.
    if (rejectedBy.size === 0 || missed.some((event) => this.#mayHelp(waiting, event))) this.#backoff.set(uid, waiting);
    else this.#unschedulable.set(uid, waiting);
    this.#schedule();
  }

  /** Something happened: pods it may help come back. */
  notify(event: ClusterEvent): void {
    for (const events of this.#inFlight.values()) if (events.at(-1) !== event) events.push(event);
    for (const [uid, waiting] of this.#unschedulable) {
      if (!this.#mayHelp(waiting, event)) continue;
      this.#unschedulable.delete(uid);
      this.#admit(waiting, waiting.notBefore);
    }
    this.#schedule();
  }

  /** Waiting in all places. */
  get size(): number {
    return this.#active.size + this.#backoff.size + this.#unschedulable.size;
  }

  #mayHelp(waiting: QueuedPod, event: ClusterEvent): boolean {
    for (const plugin of waiting.rejectedBy) if (this.#options.isHelpful(plugin, event)) return true;
    return false;
  }

  #admit(entry: QueuedPod, notBefore = 0): void {
    const uid = uidOf(entry.pod);
    const now = this.#options.clock.monotonicMs();
    if (this.#options.preEnqueue(entry.pod) !== undefined) {
      this.#unschedulable.set(uid, {
        ...entry,
        rejectedBy: new Set(["SchedulingGates"]),
        notBefore: 0,
        rejectedAt: Infinity,
      });
    } else if (notBefore > now) this.#backoff.set(uid, { ...entry, notBefore, rejectedAt: now });
    else this.#activate(entry);
  }

  #activate(entry: QueuedPod): void {
    this.#active.set(uidOf(entry.pod), entry);
    this.#sorted = undefined;
    this.#wake?.();
  }

  /** One timer for the earliest pod that comes back by time. */
  #schedule(): void {
    const { clock } = this.#options;
    let due = Infinity;
    for (const { notBefore } of this.#backoff.values()) due = Math.min(due, notBefore);
    for (const { rejectedAt } of this.#unschedulable.values()) due = Math.min(due, rejectedAt + MAX_UNSCHEDULABLE_MS);
    if (this.#timer !== undefined && this.#timer.due <= due) return;
    this.#timer?.timer[Symbol.dispose]();
    this.#timer = undefined;
    if (due === Infinity) return;
    const timer = clock.after(due - clock.monotonicMs(), () => {
      this.#timer = undefined;
      this.#release();
      this.#schedule();
    });
    timer.unref();
    this.#timer = { due, timer };
  }

  #release(): void {
    const now = this.#options.clock.monotonicMs();
    for (const [uid, waiting] of this.#backoff) {
      if (waiting.notBefore > now) continue;
      this.#backoff.delete(uid);
      this.#activate(waiting);
    }
    for (const [uid, waiting] of this.#unschedulable) {
      if (waiting.rejectedAt + MAX_UNSCHEDULABLE_MS > now) continue;
      this.#unschedulable.delete(uid);
      this.#activate(waiting);
    }
  }

  /** Drops the pending timer. */
  close(): void {
    this.#timer?.timer[Symbol.dispose]();
    this.#timer = undefined;
  }
}
