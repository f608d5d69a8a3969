import type { QueuedPod } from "../framework/plugin.ts";

/** Pods that wait for something to happen, by uid, in the order in which they came; and which plugins they wait for. */
export class PodsAside<Entry extends QueuedPod> {
  readonly #pods = new Map<string, Entry>();
  /** Plugin → how many of the pods it rejected. */
  readonly #rejecters = new Map<string, number>();

  get size(): number {
    return this.#pods.size;
  }

  get(uid: string): Entry | undefined {
    return this.#pods.get(uid);
  }

  set(uid: string, entry: Entry): void {
    this.#count(this.#pods.get(uid), -1);
    this.#pods.set(uid, entry);
    this.#count(entry, 1);
  }

  delete(uid: string): void {
    this.#count(this.#pods.get(uid), -1);
    this.#pods.delete(uid);
  }

  /** Those that are here now: whoever comes in meanwhile is not among them. */
  entries(): readonly (readonly [uid: string, Entry])[] {
    return Array.from(this.#pods);
  }

  values(): IterableIterator<Entry> {
    return this.#pods.values();
  }

  /** Whether some pod here was rejected by a plugin of which this holds. */
  someRejectedBy(holds: (plugin: string) => boolean): boolean {
    for (const plugin of this.#rejecters.keys()) if (holds(plugin)) return true;
    return false;
  }

  #count(entry: Entry | undefined, by: 1 | -1): void {
    for (const plugin of entry?.rejectedBy ?? []) {
      const count = (this.#rejecters.get(plugin) ?? 0) + by;
      if (count === 0) this.#rejecters.delete(plugin);
      else this.#rejecters.set(plugin, count);
    }
  }
}
