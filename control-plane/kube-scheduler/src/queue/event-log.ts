import type { ClusterChange } from "../framework/plugin.ts";
import { eventLabel } from "./event-label.ts";

/** Changes of the cluster that came while pods were being tried: kept for as long as one of those pods may have missed them. */
export class EventLog {
  #changes: ClusterChange[] = [];
  /** Number of the first change kept. */
  #first = 0;
  /** Pod uid → number of the first change that its attempt may have missed; the oldest attempt first. */
  readonly #attempts = new Map<string, number>();

  /** Changes that are kept, and attempts (`PodPopped`), by upstream's word. */
  counts(): ReadonlyMap<string, number> {
    const counts = new Map([["PodPopped", this.#attempts.size]]);
    for (const change of this.#changes) {
      const label = eventLabel(change);
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    return counts;
  }

  isInFlight(uid: string): boolean {
    return this.#attempts.has(uid);
  }

  begin(uid: string): void {
    this.#attempts.delete(uid);
    this.#attempts.set(uid, this.#first + this.#changes.length);
  }

  /** Ends the attempt and answers what happened meanwhile. */
  end(uid: string): readonly ClusterChange[] {
    const from = this.#attempts.get(uid);
    if (from === undefined) return [];
    const missed = this.#changes.slice(from - this.#first);
    this.#attempts.delete(uid);
    const [oldest = this.#first + this.#changes.length] = this.#attempts.values();
    if (this.#attempts.size === 0) this.#changes = [];
    else if (oldest > this.#first) this.#changes.splice(0, oldest - this.#first);
    this.#first = oldest;
    return missed;
  }

  add(change: ClusterChange): void {
    if (this.#attempts.size > 0) this.#changes.push(change);
  }
}
