import type { Deployment } from "@coracle/api/apps/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { Job } from "@coracle/api/batch/v1";
import { systemClock } from "@coracle/base";
import { median } from "../report.ts";
import { followWatch } from "./api-watch.ts";
import { deployment, job, NAMESPACE, paths, pod, service, settings } from "./bench-objects.ts";
import type { ManagedCluster } from "./managed-cluster.ts";
import type { Nodes } from "./nodes.ts";

/** What a workload measured: seconds until all was as asked for, or milliseconds from change to answer. */
export interface Measured {
  readonly seconds: number;
  /** Of the single answers, where there are many. */
  readonly answersMs?: { readonly median: number; readonly p99: number };
}

/** Something that controllers are asked to do. */
export interface Workload {
  readonly name: string;
  /** What is there before the clock starts. */
  prepare(cluster: ManagedCluster): Promise<AsyncDisposable | undefined>;
  run(cluster: ManagedCluster, prepared: AsyncDisposable | undefined): Promise<Measured>;
}

const APP = "bench";

const nothing = (): Promise<undefined> => Promise.resolve(undefined);

async function timed(action: () => Promise<void>): Promise<Measured> {
  const begun = systemClock.monotonicMs();
  await action();
  return { seconds: (systemClock.monotonicMs() - begun) / 1000 };
}

const podObjects: Workload = {
  name: "200 Deployments of 20 to 4,000 pod objects",
  prepare: nothing,
  run: (cluster) =>
    timed(async () => {
      await cluster.createMany(200, paths.deployments, (i) => deployment(i, 20));
      await cluster.until("4,000 pods", async () => (await cluster.count(paths.pods)) >= 4_000);
    }),
};

const availableDeployments: Workload = {
  name: "1,000 Deployments of 10 to Available",
  prepare: (cluster) => cluster.startNodes(),
  async run(cluster) {
    const available = new Set<string>();
    const connection = await cluster.connect();
    followWatch(connection, paths.deployments, (_, read) => {
      const { metadata, status } = read() as Deployment;
      if (status?.availableReplicas === 10) available.add(metadata.name ?? "");
    });
    try {
      return await timed(async () => {
        await cluster.createMany(1_000, paths.deployments, (i) => deployment(i, 10));
        await cluster.until("1,000 available Deployments", () => available.size >= 1_000);
      });
    } finally {
      connection.close();
    }
  },
};

const largeJob: Workload = {
  name: "indexed Job of 5,000 completions, all at once",
  prepare: (cluster) => cluster.startNodes(),
  run: (cluster) =>
    timed(async () => {
      await cluster.create(paths.jobs, job("large", 5_000));
      await cluster.until("a complete Job", async () => {
        const { status } = JSON.parse(await cluster.request({ method: "GET", path: `${paths.jobs}/large` })) as Job;
        return status?.conditions?.some(({ type, status: is }) => type === "Complete" && is === "True") === true;
      });
    }),
};

const namespaceDeletion: Workload = {
  name: "deletion of a namespace of 10,000 objects",
  async prepare(cluster) {
    await cluster.createMany(4_000, paths.configMaps, (i) => settings(i, "data"));
    await cluster.createMany(3_000, paths.secrets, (i) => settings(i, "stringData"));
    await cluster.createMany(3_000, paths.pods, (i) => pod(i, APP));
    return undefined;
  },
  run: (cluster) =>
    timed(async () => {
      const path = `/api/v1/namespaces/${NAMESPACE}`;
      await cluster.request({ method: "DELETE", path });
      await cluster.until("no namespace", () => cluster.isGone(path));
    }),
};

const collection: Workload = {
  name: "collection of 10,000 dependents of one owner",
  async prepare(cluster) {
    const { uid } = (await cluster.create(paths.secrets, settings(0, "stringData"))).metadata;
    const owner = { apiVersion: "v1", kind: "Secret", name: "settings-0", uid };
    await cluster.createMany(10_000, paths.configMaps, (i) => settings(i, "data", [owner]));
    return undefined;
  },
  run: (cluster) =>
    timed(async () => {
      const body = JSON.stringify({ propagationPolicy: "Background" });
      await cluster.request({ method: "DELETE", path: `${paths.secrets}/settings-0`, body });
      // The authority's certificate stays.
      await cluster.until("one config map", async () => (await cluster.count(paths.configMaps)) <= 1);
    }),
};

const PODS_OF_SERVICE = 5_000;

const endpointSlices: Workload = {
  name: "EndpointSlices of a Service of 5,000 pods, 100 changes/s for 20 s",
  async prepare(cluster) {
    const nodes = await cluster.startNodes();
    await cluster.create(paths.services, service(APP));
    const connection = await cluster.connect();
    const ready = new Map<string, number>();
    followWatch(connection, paths.endpointSlices, (type, read) => {
      const { metadata, endpoints } = read() as EndpointSlice;
      const count = endpoints?.filter(({ conditions }) => conditions?.ready === true).length ?? 0;
      ready.set(metadata.name ?? "", type === "DELETED" ? 0 : count);
    });
    try {
      await cluster.createMany(PODS_OF_SERVICE, paths.pods, (i) => pod(i, APP));
      await cluster.until("5,000 endpoints", () => [...ready.values()].reduce((a, b) => a + b, 0) >= PODS_OF_SERVICE);
    } finally {
      connection.close();
    }
    return nodes;
  },
  async run({ server }, nodes) {
    const changes = { pods: PODS_OF_SERVICE, perSecond: 100, seconds: 20 };
    let lagsMs: readonly number[] = [];
    const measured = await timed(async () => {
      lagsMs = await (nodes as Nodes).run({ type: "changeReadiness", target: server.admin, changes });
    });
    const sorted = lagsMs.toSorted((a, b) => a - b);
    const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
    return { ...measured, answersMs: { median: median(lagsMs), p99 } };
  },
};

/** In the order of the figures. */
export const workloads: readonly Workload[] = [
  podObjects,
  availableDeployments,
  largeJob,
  namespaceDeletion,
  collection,
  endpointSlices,
];
