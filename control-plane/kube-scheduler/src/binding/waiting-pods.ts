import type { Pod } from "@coracle/api/core/v1";
import type { Clock, Timer } from "@coracle/base";
import { uidOf } from "../state/node-state.ts";

/** A pod that has its node and may not be bound yet. */
export interface WaitingPod {
  readonly pod: Pod;
  readonly nodeName: string;
  /** Plugins that have not let it go on. */
  readonly pendingPlugins: readonly string[];
  allow(plugin: string): void;
  reject(plugin: string, reason: string): void;
}

/** Why a pod may not be bound, and who says so. */
export interface PermitRefusal {
  readonly plugin: string;
  readonly reason: string;
}

/** Pods held back by `permit`, until every plugin that holds them lets them go, one rejects them or time is up. */
export class WaitingPods {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, WaitingPod>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  list(): readonly WaitingPod[] {
    return [...this.#waiting.values()];
  }

  get(pod: Pod): WaitingPod | undefined {
    return this.#waiting.get(uidOf(pod));
  }

  /** Resolves when the pod may be bound (undefined) or not. `waits`: who holds it, and for how long at most. */
  async hold(
    pod: Pod,
    nodeName: string,
    waits: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<PermitRefusal | undefined> {
    const pending = new Set(waits.keys());
    const timers: Timer[] = [];
    const uid = uidOf(pod);
    let stop: (() => void) | undefined;
    try {
      return await new Promise<PermitRefusal | undefined>((resolve, reject) => {
        stop = () => reject(signal.reason as Error);
        if (signal.aborted) return stop();
        signal.addEventListener("abort", stop, { once: true });
        for (const [plugin, waitMs] of waits) {
          const reason = `rejected due to timeout after waiting ${waitMs / 1000}s at plugin ${plugin}`;
          timers.push(this.#clock.after(waitMs, () => resolve({ plugin, reason })));
        }
        this.#waiting.set(uid, {
          pod,
          nodeName,
          get pendingPlugins() {
            return [...pending];
          },
          allow(plugin) {
            pending.delete(plugin);
            if (pending.size === 0) resolve(undefined);
          },
          reject: (plugin, reason) => resolve({ plugin, reason }),
        });
      });
    } finally {
      if (stop !== undefined) signal.removeEventListener("abort", stop);
      for (const timer of timers) timer[Symbol.dispose]();
      this.#waiting.delete(uid);
    }
  }
}
