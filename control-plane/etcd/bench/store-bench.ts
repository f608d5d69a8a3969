import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@coracle/base";
import { openEmbeddedStore, prefixEnd, type Store } from "../src/index.ts";

/** One figure, in the form `npm run bench` prints. */
export interface StoreFigure {
  readonly bench: "store";
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
}

/** Measures the embedded store in a temporary directory: durable puts of 1 KB, reads, watches, opening. */
export async function benchStore(report: (figure: StoreFigure) => void, options: { readonly seconds?: number } = {}) {
  const { seconds = 3 } = options;
  const root = await mkdtemp(join(tmpdir(), "store-bench-"));
  const open = (name: string): Promise<Store> =>
    openEmbeddedStore({ dataDir: join(root, name), clock: systemClock, logger: silentLogger });
  const say = (metric: string, value: number, unit: string): void =>
    report({ bench: "store", metric, value: Math.round(value * 100) / 100, unit });
  try {
    say("open-empty", await timed(async () => (await open("empty"))[Symbol.asyncDispose]()), "ms");
    for (const writers of [1, 10, 64, 100]) {
      const store = await open(`writers-${writers}`);
      const { perSecond, cpuMicros, p50, p99 } = await putLoop(store, writers, seconds * 1000);
      say(`put-${writers}-writers`, perSecond, "1/s");
      say(`put-${writers}-writers-cpu`, cpuMicros, "us/put");
      say(`put-${writers}-writers-p50`, p50, "ms");
      say(`put-${writers}-writers-p99`, p99, "ms");
      await store[Symbol.asyncDispose]();
    }
    await benchReads(await open("reads"), say);
    say("open-10k-keys", await timed(async () => (await open("reads"))[Symbol.asyncDispose]()), "ms");
    await benchWatchers(await open("watchers"), say);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function putLoop(store: Store, writers: number, forMs: number) {
  const value = randomBytes(1_000);
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  let puts = 0;
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let from = performance.now(); from - start < forMs;) {
        const key = `/registry/pods/default/pod-${writer}-${puts++ % 10_000}`;
        await store.txn({ compare: [], success: [{ type: "put", key, value }] });
        const now = performance.now();
        latencies.push(now - from);
        from = now;
      }
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return {
    perSecond: (puts / (performance.now() - start)) * 1000,
    cpuMicros: (user + system) / puts,
    p50: at(0.5),
    p99: at(0.99),
  };
}

async function benchReads(store: Store, say: (metric: string, value: number, unit: string) => void): Promise<void> {
  const value = randomBytes(1_000);
  for (let from = 0; from < 10_000; from += 500) {
    await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        store.txn({ compare: [], success: [{ type: "put", key: `/registry/pods/default/p${from + i}`, value }] }),
      ),
    );
  }
  const gets = 20_000;
  const ms = await timed(async () => {
    for (let i = 0; i < gets; i++) await store.range({ key: `/registry/pods/default/p${i % 10_000}` });
  });
  say("range-one-key", (ms / gets) * 1000, "us");
  const prefix = "/registry/pods/";
  say("range-10k-keys", await timed(() => store.range({ key: prefix, end: prefixEnd(prefix) })), "ms");
  say("count-10k-keys", await timed(() => store.range({ key: prefix, end: prefixEnd(prefix), countOnly: true })), "ms");
  await store[Symbol.asyncDispose]();
}

async function benchWatchers(store: Store, say: (metric: string, value: number, unit: string) => void): Promise<void> {
  let events = 0;
  const sink = { events: () => void events++, closed: () => undefined };
  for (let i = 0; i < 1_000; i++) await store.watch({ key: "/a/", end: prefixEnd("/a/") }, sink);
  const cpu = process.cpuUsage();
  const puts = 200;
  for (let i = 0; i < puts; i++) {
    await store.txn({ compare: [], success: [{ type: "put", key: `/a/${i}`, value: Buffer.alloc(1_000) }] });
  }
  const { user, system } = process.cpuUsage(cpu);
  say("change-to-1000-watchers-cpu", (user + system) / puts, "us");
  if (events !== puts * 1_000) throw new Error(`${events} events arrived, expected ${puts * 1_000}`);
  await store[Symbol.asyncDispose]();
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}
