// The load: a process of its own, so that its CPU time is not the server's.
import type { ClientHttp2Stream } from "node:http2";
import { sleep, systemClock } from "@coracle/base";
import { ApiConnection, type Target } from "./connection.ts";
import type { Job, JobResult, RequestsJob } from "./jobs.ts";
import { NAMESPACE, PODS_PATH } from "./objects.ts";
import { requestOf } from "./requests.ts";

let target: Target;
let connections: ApiConnection[] = [];
/** Those that watches run on: a server may allow no more than a hundred streams on one. */
let watchConnections: ApiConnection[] = [];
let watches: ClientHttp2Stream[] = [];
let delivered = 0;
/** When each change was asked for, and how long the deliveries of all of them took. */
let changedAt: number[] = [];
let deliveryTimes: number[] = [];
/** How many events each watch had when the changes began. */
let eventsBefore = 0;
let serial = 0;

/** Calls go over the objects in steps, so that neighbours in time are not neighbours in the store. */
const STEP = 7919;

function openConnections(count: number): Promise<ApiConnection[]> {
  return Promise.all(Array.from({ length: count }, () => ApiConnection.open(target)));
}

async function runRequests({ kinds, clients, maxCount, maxMs, from, existing }: RequestsJob): Promise<JobResult> {
  const requests = kinds.map((kind) => requestOf(kind));
  const end = systemClock.monotonicMs() + maxMs;
  const times: number[] = [];
  let started = 0;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const connection = connections[client % connections.length] as ApiConnection;
      for (let turn = client; started < maxCount && systemClock.monotonicMs() < end; turn++) {
        const { call, expected } = requests[turn % requests.length] as (typeof requests)[number];
        serial += 1;
        const made = call({ serial, existing: (serial * STEP) % existing, fresh: from + started++ });
        const begun = systemClock.monotonicMs();
        const status = await connection.send(made);
        // Two clients met at one object, which is seldom: answered, but not what is measured.
        if (status === 409) continue;
        if (status !== expected) throw new Error(`${made.method} ${made.path}: ${status}`);
        times.push(systemClock.monotonicMs() - begun);
      }
    }),
  );
  return { count: times.length, p99Ms: p99(times) };
}

function p99(times: number[]): number {
  times.sort((a, b) => a - b);
  return times[Math.ceil(times.length * 0.99) - 1] ?? 0;
}

/** Opens watches on one pod; returns when each has delivered the pod as it is. */
async function openWatches(count: number, name: string, sessions: number): Promise<JobResult> {
  delivered = 0;
  watchConnections = await openConnections(sessions);
  const path = `/api/v1/namespaces/${NAMESPACE}/pods?watch=1&fieldSelector=metadata.name%3D${name}`;
  for (let i = 0; i < count; i++) {
    const stream = (watchConnections[i % sessions] as ApiConnection).start({ method: "GET", path });
    stream.on("error", () => {});
    let events = 0;
    stream.on("data", (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) {
        delivered += 1;
        const asked = changedAt[events++ - eventsBefore];
        if (asked !== undefined) deliveryTimes.push(systemClock.monotonicMs() - asked);
      }
    });
    watches.push(stream);
    // Not all at once: what is measured is deliveries, not a rush of requests.
    if (i % 100 === 99) await untilDelivered(i + 1);
  }
  await untilDelivered(count);
  return { count };
}

async function untilDelivered(wanted: number): Promise<void> {
  const end = systemClock.monotonicMs() + 20_000;
  while (delivered < wanted) {
    if (systemClock.monotonicMs() > end) throw new Error(`${delivered} of ${wanted} events were delivered`);
    await sleep(systemClock, 5);
  }
}

async function change(name: string, changes: number, everyMs: number): Promise<JobResult> {
  const before = delivered;
  const begun = systemClock.monotonicMs();
  deliveryTimes = [];
  changedAt = [];
  eventsBefore = before / watches.length;
  for (let i = 0; i < changes; i++) {
    const wait = begun + i * everyMs - systemClock.monotonicMs();
    if (wait > 0) await sleep(systemClock, wait);
    changedAt.push(systemClock.monotonicMs());
    const status = await (connections[0] as ApiConnection).send({
      method: "PATCH",
      path: `${PODS_PATH}/${name}`,
      contentType: "application/merge-patch+json",
      body: JSON.stringify({ metadata: { labels: { serial: String(++serial) } } }),
    });
    if (status !== 200) throw new Error(`change: ${status}`);
  }
  await untilDelivered(before + changes * watches.length);
  return { count: delivered - before, p99Ms: p99(deliveryTimes) };
}

async function run(job: Job): Promise<JobResult> {
  switch (job.type) {
    case "connect":
      target = job.target;
      connections = await openConnections(job.sessions);
      return { count: connections.length };
    case "requests":
      return await runRequests(job);
    case "openWatches":
      return await openWatches(job.count, job.name, job.sessions);
    case "change":
      return await change(job.name, job.changes, job.everyMs);
    case "closeWatches": {
      const count = watches.length;
      for (const connection of watchConnections) connection.close();
      watches = [];
      return { count };
    }
  }
}

process.on("message", (job: Job) => {
  run(job).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ count: 0, error: String(error) } satisfies JobResult),
  );
});
process.on("disconnect", () => process.exit(0));
