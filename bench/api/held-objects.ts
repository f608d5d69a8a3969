import { sleep, systemClock } from "@coracle/base";
import { pssMegabytes } from "../process-usage.ts";
import { median } from "../report.ts";
import { jobOf, LoadedServer, type Findings, type StartServer } from "./api-measurement.ts";

const EACH = 50_000;
const CLIENTS = 100;
const MIXED_MS = 10_000;
const SETTLE_MS = 5_000;

/** A server that holds a hundred thousand objects: its memory, its start, its answers. */
export async function measureHeldObjects(find: Findings, start: StartServer, runs: number): Promise<void> {
  const memory = "memory with 50,000 pods and 50,000 config maps";
  const latency = "p99 with 100 mixed clients and 100,000 objects";
  const ready = "start with 100,000 objects, ready";
  const restarted = "memory with 100,000 objects after a restart";
  if (![memory, latency, ready, restarted].some((metric) => find.wants(metric))) return;
  await using loaded = await LoadedServer.start(start, runs);
  const { load, server } = loaded;
  await loaded.fill("create", EACH);
  await loaded.fill("createConfigMap", EACH);
  await sleep(systemClock, SETTLE_MS);
  find.set(memory, pssMegabytes(server.pids), "MB PSS");
  const slowest: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const job = jobOf(["get", "getConfigMap", "mergePatch", "get", "applyConfigMap", "getConfigMap", "statusPatch"]);
    const { p99Ms } = await load.run({ ...job, clients: CLIENTS, maxMs: MIXED_MS, existing: EACH });
    // The first run warms up.
    if (run > 0) slowest.push(p99Ms ?? Number.NaN);
  }
  find.set(latency, median(slowest), "ms");
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    await server.restart();
    times.push(server.readyMs);
  }
  find.set(ready, median(times), "ms");
  find.set(restarted, pssMegabytes(server.pids), "MB PSS");
}
