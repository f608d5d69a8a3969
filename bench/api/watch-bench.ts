import type { BenchOptions } from "../options.ts";
import { median } from "../report.ts";
import { compare, LoadedServer } from "./api-measurement.ts";
import { podName } from "./objects.ts";

const PODS = 5_000;
const WATCHERS = 800;
/** A server may allow no more than a hundred streams on one connection. */
const SESSIONS = 10;
const CHANGES = 80;
const CHANGE_EVERY_MS = 50;

/** One change that many wait for. */
export function benchWatch(options: BenchOptions): Promise<void> {
  return compare("watch", options, async (find, start) => {
    await using loaded = await LoadedServer.start(start, options.runs);
    const { load } = loaded;
    await loaded.fill("create", PODS);
    const name = podName(0);
    await load.run({ type: "openWatches", count: WATCHERS, name, sessions: SESSIONS });
    const change = { type: "change", name, changes: CHANGES, everyMs: CHANGE_EVERY_MS } as const;
    await load.run(change);
    const slowest: number[] = [];
    const rate = await loaded.perCpuSecond(
      () => change,
      ({ p99Ms }) => void slowest.push(p99Ms ?? 0),
    );
    find.set("one change to 800 watchers", rate, "deliveries/CPU s");
    find.set("p99 of deliveries at 20 changes/s", median(slowest), "ms");
    await load.run({ type: "closeWatches" });
  });
}
