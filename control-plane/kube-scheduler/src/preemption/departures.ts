import type { Pod } from "@coracle/api/core/v1";
import { onAbort } from "@coracle/base";
import type { Informer } from "@coracle/client";
import { uidOf } from "../state/node-state.ts";

/**
 * Tells when pods that were told to leave are seen leaving: deleted, or marked as on their way out. Whoever decides
 * before that takes them for pods that stay.
 */
export class Departures {
  readonly #pods: Informer<Pod>["lister"];
  /** Pod uid → who waits for it. */
  readonly #awaited = new Map<string, (() => void)[]>();

  /** Ask for it after those who keep the state: it must know first. */
  constructor(pods: Informer<Pod>) {
    this.#pods = pods.lister;
    pods.addHandlers({
      updated: (_, pod) => {
        if (pod.metadata.deletionTimestamp !== undefined) this.#seen(pod);
      },
      deleted: (pod) => this.#seen(pod),
    });
  }

  /** Resolves when all of them are seen leaving, or the signal aborts. */
  async seen(pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    await Promise.all(pods.filter((pod) => this.#isStaying(pod)).map(async (pod) => this.#next(pod, signal)));
  }

  #isStaying({ metadata: { namespace, name = "", uid } }: Pod): boolean {
    const now = this.#pods.get(namespace, name);
    return now !== undefined && now.metadata.uid === uid && now.metadata.deletionTimestamp === undefined;
  }

  async #next(pod: Pod, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const uid = uidOf(pod);
    await new Promise<void>((resolve) => {
      const waiting = this.#awaited.get(uid);
      const link = onAbort(signal, resolve);
      const done = (): void => {
        link[Symbol.dispose]();
        resolve();
      };
      if (waiting === undefined) this.#awaited.set(uid, [done]);
      else waiting.push(done);
    });
  }

  #seen(pod: Pod): void {
    if (this.#awaited.size === 0) return;
    const uid = uidOf(pod);
    const waiting = this.#awaited.get(uid);
    if (waiting === undefined) return;
    this.#awaited.delete(uid);
    for (const done of waiting) done();
  }
}
