import type { WatchStream } from "./watch-stream.ts";

type WatcherCall = (watcher: WatchStream) => void;

/** Holds what a watch delivers before its stream exists, then passes through. */
export class LateWatcher {
  #calls: WatcherCall[] | undefined = [];
  #target: WatchStream | undefined;

  handTo(target: WatchStream): void {
    for (const call of this.#calls ?? []) call(target);
    this.#calls = undefined;
    this.#target = target;
  }

  event(...args: Parameters<WatchStream["event"]>): void {
    if (this.#target !== undefined) this.#target.event(...args);
    else this.#calls?.push((watcher) => watcher.event(...args));
  }

  initialDone(revision: number): void {
    if (this.#target !== undefined) this.#target.initialDone(revision);
    else this.#calls?.push((watcher) => watcher.initialDone(revision));
  }

  closed(reason: "expired" | "shutdown"): void {
    if (this.#target !== undefined) this.#target.closed(reason);
    else this.#calls?.push((watcher) => watcher.closed(reason));
  }
}
