/** Waits until somebody who is written to has read what there is. */
export interface DrainGate {
  readonly open: () => void;
  /** Rejects when the signal aborts. */
  wait(signal: AbortSignal): Promise<void>;
}

export function drained(): DrainGate {
  let wake: (() => void) | undefined;
  return {
    open: () => wake?.(),
    async wait(signal) {
      signal.throwIfAborted();
      let abort = (): void => {};
      try {
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          abort = () => reject(signal.reason);
          signal.addEventListener("abort", abort, { once: true });
        });
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
  };
}
