import { sleep, systemClock } from "@coracle/base";
import type { BenchOptions } from "../options.ts";
import { anonymousMegabytes, cpuSeconds, largestFileMegabytes, pssMegabytes } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { BenchCluster } from "./bench-cluster.ts";
import { insideNamespace } from "./inside.ts";

const SETTLE_MS = 20_000;
const WINDOW_MS = 60_000;

/** What a one-node cluster needs while nothing happens. */
export function benchIdle(options: BenchOptions): Promise<void> {
  return insideNamespace(async () => {
    const cluster = new BenchCluster(options.coracle);
    const memory: number[] = [];
    const alone: number[] = [];
    const load: number[] = [];
    try {
      for (let run = 1; run <= options.runs; run++) {
        note(`run ${run} of ${options.runs}`);
        cluster.forget();
        await cluster.up();
        await sleep(systemClock, SETTLE_MS);
        const pids = await cluster.pids();
        const before = cpuSeconds(pids);
        await sleep(systemClock, WINDOW_MS);
        load.push(((cpuSeconds(pids) - before) / (WINDOW_MS / 1000)) * 100);
        memory.push(pssMegabytes(pids));
        alone.push(anonymousMegabytes(pids) + largestFileMegabytes(pids));
        note(`${memory.at(-1)?.toFixed(0)} MB PSS, ${load.at(-1)?.toFixed(2)} % of a core`);
        await cluster.down();
      }
    } finally {
      await cluster.remove();
    }
    report({ bench: "idle", metric: "memory of all processes", value: median(memory), unit: "MB PSS" });
    // Other Node programs on the machine share the program file's pages and so lower the figure above.
    report({ bench: "idle", metric: "memory if no other Node runs", value: median(alone), unit: "MB" });
    report({ bench: "idle", metric: "CPU over 60 s", value: median(load), unit: "% of a core" });
  });
}
