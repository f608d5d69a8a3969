import { sleep, systemClock } from "@coracle/base";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { ApiConnection } from "./connection.ts";
import { HOSTILE_NAMES } from "./hostile-clients.ts";
import { HostileProcess } from "./hostile-load.ts";
import { startOurs, type BenchServer } from "./servers.ts";

const WINDOW_MS = 2_000;
const PACE_MS = 5;
const CALL = { method: "GET", path: "/api/v1/namespaces/default/configmaps/kube-root" } as const;
const CHANGE_EVERY = 20;

interface Window {
  /** Load of the server, in hundredths of a core. */
  readonly load: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

/** What the others see for a while: one who reads an object at a steady pace, and sometimes changes it. */
async function measure(server: BenchServer): Promise<Window> {
  const connection = await ApiConnection.open(server.admin);
  const waits: number[] = [];
  const startedAt = systemClock.monotonicMs();
  const before = cpuSeconds(server.pids);
  for (let i = 1; systemClock.monotonicMs() - startedAt < WINDOW_MS; i++) {
    const askedAt = systemClock.monotonicMs();
    if (i % CHANGE_EVERY === 0) await change(connection, i);
    else await connection.request(CALL);
    waits.push(systemClock.monotonicMs() - askedAt);
    await sleep(systemClock, PACE_MS);
  }
  const cpu = cpuSeconds(server.pids) - before;
  const took = systemClock.monotonicMs() - startedAt;
  connection.close();
  return {
    load: (cpu * 100_000) / took,
    medianMs: median(waits),
    longestMs: Math.max(...waits),
  };
}

const change = (connection: ApiConnection, i: number): Promise<string> =>
  connection.request({
    method: "PATCH",
    path: CALL.path,
    contentType: "application/merge-patch+json",
    body: JSON.stringify({ data: { i: String(i) } }),
  });

/** What one hostile client costs the others, in turns with and without him. */
async function measureHostile(server: BenchServer, name: string, runs: number): Promise<void> {
  const quiet: Window[] = [];
  const under: Window[] = [];
  for (let run = 0; run < runs; run++) {
    quiet.push(await measure(server));
    await using _held = await HostileProcess.begin(name, server.admin);
    under.push(await measure(server));
  }
  const of = (windows: readonly Window[], figure: keyof Window): number =>
    median(windows.map((window) => window[figure]));
  const bench = "hostile";
  report({
    bench,
    metric: `${name}: load of the server beyond the others'`,
    value: Math.max(0, of(under, "load") - of(quiet, "load")),
    unit: "% of a core",
  });
  report({ bench, metric: `${name}: median wait of the others`, value: of(under, "medianMs"), unit: "ms" });
  report({ bench, metric: `${name}: median wait when quiet`, value: of(quiet, "medianMs"), unit: "ms" });
  report({ bench, metric: `${name}: longest wait of the others`, value: of(under, "longestMs"), unit: "ms" });
  report({ bench, metric: `${name}: longest wait when quiet`, value: of(quiet, "longestMs"), unit: "ms" });
}

/** `hostile`: what slow, deaf, and greedy clients cost the others. */
export async function benchHostile({ coracle, runs, only }: BenchOptions): Promise<void> {
  await using server = await startOurs(coracle);
  const connection = await ApiConnection.open(server.admin);
  await connection.request({
    method: "POST",
    path: "/api/v1/namespaces/default/configmaps",
    body: JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kube-root" } }),
  });
  connection.close();
  for (const name of HOSTILE_NAMES) {
    if (!name.includes(only)) continue;
    note(name);
    await measureHostile(server, name, runs);
  }
}
