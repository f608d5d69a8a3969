import { sleep, systemClock } from "@coracle/base";
import { cpuSeconds, pssMegabytes } from "../process-usage.ts";
import { median } from "../report.ts";
import type { Findings, StartServer } from "./api-measurement.ts";

const SETTLE_MS = 5_000;
const WINDOW_MS = 20_000;

/** A server that holds nothing and is asked nothing. */
export async function measureEmpty(find: Findings, start: StartServer, runs: number): Promise<void> {
  const [ready, memory, idle] = ["empty server, ready", "empty server, memory", "empty server, idle"] as const;
  if (![ready, memory, idle].some((metric) => find.wants(metric))) return;
  const [times, sizes, loads]: number[][] = [[], [], []] as [number[], number[], number[]];
  for (let run = 0; run < runs; run++) {
    await using server = await start();
    times?.push(server.readyMs);
    if (!find.wants(memory) && !find.wants(idle)) continue;
    await sleep(systemClock, SETTLE_MS);
    const before = cpuSeconds(server.pids);
    await sleep(systemClock, WINDOW_MS);
    loads?.push(((cpuSeconds(server.pids) - before) / (WINDOW_MS / 1000)) * 100);
    sizes?.push(pssMegabytes(server.pids));
  }
  find.set(ready, median(times ?? []), "ms");
  if (sizes === undefined || loads === undefined || sizes.length === 0) return;
  find.set(memory, median(sizes), "MB PSS");
  find.set(idle, median(loads), "% of a core");
}
