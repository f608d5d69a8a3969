import { isAbort, linkSignal, type Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { runSimulatedNode, type SimulatedNode } from "./simulated-node.ts";

/** How long something may take to become true, and how time goes on until then. */
export interface Patience {
  readonly limitMs: number;
  readonly pass: () => Promise<void>;
}

/** What runs beside a test until its end: components, and nodes that say of their pods what a kubelet would. */
export class Ensemble implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #running = new Set<Promise<void>>();
  readonly #silences = new Map<string, (reason: unknown) => void>();
  /** All of them listen to it. */
  readonly #stop = linkSignal();
  /** The first that ended before the test: the story cannot go on. */
  #failure: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Runs one more component until the end; should it fail before, `until` does too. */
  run(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    // Requests under way listen to it, many at once.
    const link = linkSignal(this.#stop.signal);
    const running = work(link.signal)
      .catch((error: unknown) => {
        if (!this.isOver && !isAbort(error, link.signal)) this.fail(new Error(`${name} ended`, { cause: error }));
      })
      .finally(() => {
        link[Symbol.dispose]();
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** Lets `until` fail with this, unless it does for another reason already. */
  fail(failure: Error): void {
    this.#failure ??= failure;
  }

  /** Adds a node that acts as `client`; resolves when it is registered. */
  async addNode(node: SimulatedNode, client: ApiClient): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.run(`node ${node.name}`, async (signal) => {
        using silence = linkSignal(signal);
        this.#silences.set(node.name, (reason) => silence.abort(reason));
        const deps = { client, clock: this.#clock, signal: silence.signal, onReady: resolve };
        try {
          await runSimulatedNode(node, deps);
        } catch (error) {
          if (silence.signal.aborted) return;
          reject(error as Error);
          throw error;
        }
      });
    });
  }

  /** The node says nothing any more, as after a power cut; its object stays. */
  silenceNode(name: string): void {
    this.#silences.get(name)?.(new DOMException(`node ${name} went silent`, "AbortError"));
  }

  /** Waits until `attempt` answers something other than undefined or false. Throws when it does not in time. */
  async until<T>(
    what: string,
    attempt: () => Promise<T | undefined | false> | T | undefined | false,
    { limitMs, pass }: Patience,
  ): Promise<T> {
    const end = this.#clock.monotonicMs() + limitMs;
    let last: unknown;
    while (this.#clock.monotonicMs() <= end) {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        const answer = await attempt();
        if (answer !== undefined && answer !== false) return answer;
      } catch (error) {
        last = error;
      }
      await pass();
    }
    throw new Error(`still not true after ${limitMs / 1000} s: ${what}`, { cause: last });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException("the test is over", "AbortError"));
    await Promise.all(this.#running);
  }
}
