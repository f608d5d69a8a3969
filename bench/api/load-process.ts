// The load: a process of its own, so that its CPU time is not the server's.
import type { ClientHttp2Stream } from "node:http2";
import { sleep, systemClock } from "@coracle/base";
import { ApiConnection, type ApiCall, type Target } from "./connection.ts";
import type { Job, JobResult, RequestsJob } from "./jobs.ts";
import { NAMESPACE, podBody, podName, PODS_PATH } from "./pod.ts";

let target: Target;
let connections: ApiConnection[] = [];
/** Those that watches run on: a server may allow no more than a hundred streams on one. */
let watchConnections: ApiConnection[] = [];
let watches: ClientHttp2Stream[] = [];
let delivered = 0;
let serial = 0;

/** Calls go over the pods in steps, so that neighbours in time are not neighbours in the store. */
const nextPod = (pods: number): string => podName((serial * 7919) % pods);

function callOf({ kind, pods }: RequestsJob): ApiCall {
  serial += 1;
  switch (kind) {
    case "get":
      return { method: "GET", path: `${PODS_PATH}/${nextPod(pods)}` };
    case "list":
      return { method: "GET", path: PODS_PATH };
    case "create":
      return { method: "POST", path: PODS_PATH, body: "" };
    case "mergePatch":
      return {
        method: "PATCH",
        path: `${PODS_PATH}/${nextPod(pods)}`,
        contentType: "application/merge-patch+json",
        body: JSON.stringify({ metadata: { labels: { serial: String(serial) } } }),
      };
    case "statusPatch":
      return {
        method: "PATCH",
        path: `${PODS_PATH}/${nextPod(pods)}/status`,
        contentType: "application/strategic-merge-patch+json",
        body: JSON.stringify({
          status: { conditions: [{ type: "bench.example.com/Serial", status: "True", message: String(serial) }] },
        }),
      };
  }
}

function openConnections(count: number): Promise<ApiConnection[]> {
  return Promise.all(Array.from({ length: count }, () => ApiConnection.open(target)));
}

async function runRequests(job: RequestsJob): Promise<JobResult> {
  const expected = job.kind === "create" ? 201 : 200;
  const end = systemClock.monotonicMs() + job.maxMs;
  let started = 0;
  let count = 0;
  await Promise.all(
    Array.from({ length: job.clients }, async (_, client) => {
      const connection = connections[client % connections.length] as ApiConnection;
      while (started < job.maxCount && systemClock.monotonicMs() < end) {
        const number = job.pods + started++;
        const call = callOf(job);
        const status = await connection.send(job.kind === "create" ? { ...call, body: podBody(number) } : call);
        if (status !== expected) throw new Error(`${job.kind}: ${status} in place of ${expected}`);
        count += 1;
      }
    }),
  );
  return { count };
}

/** Opens watches on one pod; returns when each has delivered the pod as it is. */
async function openWatches(count: number, name: string, sessions: number): Promise<JobResult> {
  delivered = 0;
  watchConnections = await openConnections(sessions);
  const path = `/api/v1/namespaces/${NAMESPACE}/pods?watch=1&fieldSelector=metadata.name%3D${name}`;
  for (let i = 0; i < count; i++) {
    const stream = (watchConnections[i % sessions] as ApiConnection).start({ method: "GET", path });
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) delivered += 1;
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
  for (let i = 0; i < changes; i++) {
    const wait = begun + i * everyMs - systemClock.monotonicMs();
    if (wait > 0) await sleep(systemClock, wait);
    const status = await (connections[0] as ApiConnection).send({
      method: "PATCH",
      path: `${PODS_PATH}/${name}`,
      contentType: "application/merge-patch+json",
      body: JSON.stringify({ metadata: { labels: { serial: String(++serial) } } }),
    });
    if (status !== 200) throw new Error(`change: ${status}`);
  }
  await untilDelivered(before + changes * watches.length);
  return { count: delivered - before };
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
