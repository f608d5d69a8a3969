import { constants, PerformanceObserver, type NodeGCPerformanceDetail, type PerformanceEntry } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "@coracle/base";

/** So much room for new objects is kept; a burst of work may have made it eight times that. */
const KEPT_BYTES = 4 * 1024 * 1024;
const QUIET_MS = 10_000;
/** The engine gives room back only if little was made in the last five seconds before, or since it collected last. */
const LOOKS = 3;
const NEXT_LOOK_MS = 6_000;

/**
 * Gives memory back some seconds after a burst of work: the engine keeps the room that new objects had in it until it
 * collects the next time, which a program with nothing to do never does. Waits for nothing while nothing is made.
 */
export function collectWhenQuiet(clock: Clock): Disposable {
  let timer: Timer | undefined;
  const observer = new PerformanceObserver((seen) => {
    // Only work makes new objects grow old; what follows from a collection of ours must not lead to another.
    if (!seen.getEntries().some(isMinor)) return;
    timer?.[Symbol.dispose]();
    timer = undefined;
    if (newObjectRoom() <= KEPT_BYTES) return;
    collectIn(QUIET_MS, LOOKS);
  });
  const collectIn = (delayMs: number, looks: number): void => {
    timer = clock.after(delayMs, () => {
      timer = undefined;
      collect();
      if (looks > 1 && newObjectRoom() > KEPT_BYTES) collectIn(NEXT_LOOK_MS, looks - 1);
    });
    timer.unref();
  };
  observer.observe({ entryTypes: ["gc"] });
  return {
    [Symbol.dispose]() {
      observer.disconnect();
      timer?.[Symbol.dispose]();
    },
  };
}

function isMinor(entry: PerformanceEntry): boolean {
  const { detail } = entry as PerformanceEntry & { readonly detail?: NodeGCPerformanceDetail };
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MINOR;
}

function newObjectRoom(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")?.space_size ?? 0;
}

function collect(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  setFlagsFromString("--no-expose-gc");
}
