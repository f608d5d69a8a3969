import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, sleep, systemClock } from "@coracle/base";
import { createRemoteStore, openEmbeddedStore, prefixEnd, type Store } from "@coracle/etcd";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds, pssMegabytes } from "../process-usage.ts";
import { median, note, percentile, report } from "../report.ts";
import { benchDisk } from "./disk-bench.ts";

const VALUE = randomBytes(1_000);
const SECONDS = 3;
const WINDOW_MS = 10_000;
const PREFIX = "/registry/pods/";

/** A store to measure, and the processes that it costs: this one is always among them. */
interface Subject extends AsyncDisposable {
  readonly store: Store;
  readonly pids: readonly number[];
}

/** How often something was done, by the clock and for CPU time. */
interface Rate {
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

/** The store by itself: in process, over gRPC, and, with `--peer-etcd`, etcd beside it, as a client in this process pays for it. */
export async function benchStore(options: BenchOptions): Promise<void> {
  const etcd = options.peer?.etcd;
  await benchDisk(options.only);
  const compare = async (
    metric: string,
    unit: string,
    ours: () => Promise<Subject>,
    measure: (subject: Subject) => Promise<number>,
  ): Promise<void> => {
    if (!metric.includes(options.only)) return;
    const value = await medianOf(options.runs, ours, measure);
    const peer = etcd === undefined ? {} : { peer: await medianOf(options.runs, () => startServer(etcd, []), measure) };
    report({ bench: "store", metric, value, unit, ...peer });
  };
  const served = (): Promise<Subject> => startServer(process.execPath, [options.coracle, "etcd"]);

  await compare("put, 100 writers", "1/CPU s", openOwn, async (s) => (await puts(s, 100)).perCpuSecond);
  await compare("put, 1 writer", "1/CPU s", openOwn, async (s) => (await puts(s, 1)).perCpuSecond);
  await compare("put, 1 writer, rate", "1/s", openOwn, async (s) => (await puts(s, 1)).perSecond);
  await compare("range of one key", "1/CPU s", openOwn, async (s) => (await ranges(s, 32)).perCpuSecond);
  await compare("change to 1,000 watchers", "1/CPU s", openOwn, changes);
  await compare("gRPC: put, 100 clients", "1/s", served, async (s) => (await puts(s, 100)).perSecond);
  await compare("gRPC: range, 32 clients", "1/s", served, async (s) => (await ranges(s, 32)).perSecond);
  await benchServer(options);
  await benchSize(options);
}

async function medianOf(
  runs: number,
  open: () => Promise<Subject>,
  measure: (subject: Subject) => Promise<number>,
): Promise<number> {
  const values: number[] = [];
  for (let run = 0; run < runs; run++) {
    await using subject = await open();
    values.push(await measure(subject));
  }
  return median(values);
}

async function temporaryDir(): Promise<string> {
  return await mkdtemp(join(tmpdir(), "store-bench-"));
}

async function openOwn(): Promise<Subject & { readonly store: Awaited<ReturnType<typeof openEmbeddedStore>> }> {
  const dataDir = await temporaryDir();
  const store = await openEmbeddedStore({ dataDir, clock: systemClock, logger: silentLogger });
  return {
    store,
    pids: [process.pid],
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

interface ServerSubject extends Subject {
  readonly child: ChildProcess;
  readonly readyMs: number;
}

/** A server of one member that takes etcd's flags. */
async function startServer(program: string, before: readonly string[], data?: string): Promise<ServerSubject> {
  const dataDir = data ?? (await temporaryDir());
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const started = performance.now();
  const child = spawn(
    program,
    [
      ...before,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ],
    { stdio: "ignore" },
  );
  const isReady = (): Promise<boolean> =>
    fetch(`${client}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    await sleep(systemClock, 5);
  }
  const readyMs = performance.now() - started;
  const store = createRemoteStore({ endpoints: [client], clock: systemClock });
  return {
    store,
    child,
    readyMs,
    pids: [process.pid, child.pid ?? 0],
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      if (data === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Does something with so many at once for a few seconds. */
async function rateOf({ pids }: Subject, atOnce: number, action: (n: number) => Promise<unknown>): Promise<Rate> {
  const cpu = cpuSeconds(pids);
  const start = performance.now();
  const end = start + SECONDS * 1_000;
  let done = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (performance.now() < end) await action(done++);
    }),
  );
  const seconds = (performance.now() - start) / 1_000;
  return { perSecond: done / seconds, perCpuSecond: done / Math.max(0.01, cpuSeconds(pids) - cpu) };
}

const put = (store: Store, key: string): Promise<unknown> =>
  store.txn({ compare: [], success: [{ type: "put", key, value: VALUE }] });

const puts = (subject: Subject, writers: number): Promise<Rate> =>
  rateOf(subject, writers, (n) => put(subject.store, `${PREFIX}default/p${n % 10_000}`));

async function ranges(subject: Subject, readers: number): Promise<Rate> {
  for (let from = 0; from < 1_000; from += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, n) => put(subject.store, `${PREFIX}default/p${from + n}`)));
  }
  return await rateOf(subject, readers, async (n) => {
    // In process an answer is there at once; others, and the clock, want their turn.
    if (n % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
    return subject.store.range({ key: `${PREFIX}default/p${n % 1_000}` });
  });
}

/** Changes that 1,000 watchers were given, for CPU time. */
async function changes({ store, pids }: Subject): Promise<number> {
  let given = 0;
  const sink = { events: () => void given++, closed: () => undefined };
  for (let n = 0; n < 1_000; n++) await store.watch({ key: PREFIX, end: prefixEnd(PREFIX) }, sink);
  const cpu = cpuSeconds(pids);
  const count = 200;
  for (let n = 1; n <= count; n++) {
    await put(store, `${PREFIX}${n}`);
    while (given < n * 1_000) await new Promise((resolve) => setImmediate(resolve));
  }
  return count / Math.max(0.01, cpuSeconds(pids) - cpu);
}

/** `coracle etcd` alone and empty. */
async function benchServer({ runs, only, coracle }: BenchOptions): Promise<void> {
  if (!"server: ready memory".includes(only)) return;
  const ready: number[] = [];
  const memory: number[] = [];
  for (let run = 0; run < runs; run++) {
    await using server = await startServer(process.execPath, [coracle, "etcd"]);
    ready.push(server.readyMs);
    memory.push(pssMegabytes([server.child.pid ?? 0]));
  }
  report({ bench: "store", metric: "server: ready", value: median(ready), unit: "ms" });
  report({ bench: "store", metric: "server: memory", value: median(memory), unit: "MB" });
}

/** A million keys, and five million updates of ten thousand keys with a compaction every now and then. */
async function benchSize({ only, coracle }: BenchOptions): Promise<void> {
  if ("million keys: open memory served".includes(only)) await millionKeys(coracle);
  if ("updates: file p99".includes(only)) await fiveMillionUpdates();
}

async function millionKeys(coracle: string): Promise<void> {
  const dataDir = await temporaryDir();
  const open = (): ReturnType<typeof openEmbeddedStore> =>
    openEmbeddedStore({ dataDir: join(dataDir, "member"), clock: systemClock, logger: silentLogger, isSynced: false });
  const timeOpening = async (metric: string): Promise<void> => {
    const start = performance.now();
    await using _store = await open();
    report({ bench: "store", metric, value: performance.now() - start, unit: "ms" });
  };
  try {
    note("writing a million keys");
    {
      await using store = await open();
      for (let from = 0; from < 1_000_000; from += 5_000) {
        await Promise.all(
          Array.from({ length: 50 }, (_, group) =>
            store.txn({
              compare: [],
              success: Array.from({ length: 100 }, (__, n) => ({
                type: "put" as const,
                key: `${PREFIX}default/pod-${from + group * 100 + n}`,
                value: VALUE.subarray(0, 300),
              })),
            }),
          ),
        );
      }
    }
    globalThis.gc?.();
    await timeOpening("million keys: open");
    {
      // A process of its own: what the writing above left in this one is not the store's.
      await using server = await startServer(process.execPath, [coracle, "etcd"], dataDir);
      report({ bench: "store", metric: "million keys: served, ready", value: server.readyMs, unit: "ms" });
      report({
        bench: "store",
        metric: "million keys: memory",
        value: pssMegabytes([server.child.pid ?? 0]),
        unit: "MB",
      });
    }
    for (const name of await readdir(join(dataDir, "member"))) {
      if (name.includes(".index-")) await rm(join(dataDir, "member", name));
    }
    await timeOpening("million keys: open without index");
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function fiveMillionUpdates(): Promise<void> {
  const [updates, keys, writers] = [5_000_000, 10_000, 100];
  await using subject = await openOwn();
  const { store } = subject;
  store.keepRevisions(1_000);
  note("updating ten thousand keys five million times");
  const late: number[] = [];
  /** The same of each ten seconds. */
  const windows: number[][] = [];
  const begun = performance.now();
  let done = 0;
  let largest = 0;
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (done < updates) {
        const n = done++;
        const from = performance.now();
        await put(store, `${PREFIX}default/p${n % keys}`);
        if (n % 50 === 0) {
          const now = performance.now();
          late.push(now - from);
          (windows[Math.floor((now - begun) / WINDOW_MS)] ??= []).push(now - from);
        }
        if (n % 10_000 === 0) largest = Math.max(largest, store.totalBytes);
      }
    }),
  );
  const live = keys * (VALUE.length + 60);
  report({ bench: "store", metric: "updates: file", value: largest / live, unit: "x live data" });
  report({ bench: "store", metric: "updates: p99", value: percentile(late, 0.99), unit: "ms" });
  const worst = Math.max(...Object.values(windows).map((window) => percentile(window, 0.99)));
  report({ bench: "store", metric: "updates: p99 of the worst ten seconds", value: worst, unit: "ms" });
  report({ bench: "store", metric: "updates: p50", value: percentile(late, 0.5), unit: "ms" });
}
