import { Deployment, StatefulSet } from "@coracle/api/apps/v1";
import { Job } from "@coracle/api/batch/v1";
import type { Pod, PodSpec } from "@coracle/api/core/v1";
import type { ApiClient } from "@coracle/client";
import type { SimulatedNode } from "../control-plane/simulated-node.ts";

/** A namespace in which something is rolled out. */
export interface Stage {
  readonly admin: ApiClient;
  readonly namespace: string;
  readonly until: <T>(what: string, attempt: () => Promise<T | undefined | false>) => Promise<T>;
}

/** Does something with the API, step by step, and waits for what comes of it. */
export type Rollout = (stage: Stage) => Promise<void>;

/** Of the pods of most rollouts. */
export const labels = { app: "web" };
/** Selects them. */
export const selector = { matchLabels: labels };
const part = { brokenImage: "web:broken", shortImage: "task:ok", failingImage: "task:bad" };

/** All in one zone: which pod is where must make no difference. */
export const NODES: readonly SimulatedNode[] = ["n1", "n2", "n3"].map((name) => ({
  name,
  labels: { "topology.kubernetes.io/zone": "z1", ...(name === "n3" ? { disk: "ssd" } : {}) },
  ...part,
}));

/** A template of pods that run for ever. */
export const template = (image: string, more: Partial<PodSpec> = {}) => ({
  metadata: { labels, annotations: { note: image } },
  spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image }], ...more },
});
/** A template of a Job's pods. */
export const task = (image: string, restartPolicy = "Never") => ({
  metadata: { labels: { app: "task" } },
  spec: { restartPolicy, terminationGracePeriodSeconds: 0, containers: [{ name: "task", image }] },
});
/** The change of a template to another image. */
export const image = (name: string) => ({ spec: { template: { spec: { containers: [{ name: "c", image: name }] } } } });

/** The pod is ready. */
export const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") ?? false;

/** Waits until the Deployment has what it wants, and nothing else. */
export const complete = async ({ admin, namespace, until }: Stage, name: string, replicas: number) =>
  await until(`${name} is complete`, async () => {
    const { metadata, status } = await admin.get(Deployment, { namespace, name });
    const progress = status?.conditions?.find((each) => each.type === "Progressing");
    return (
      status?.observedGeneration === metadata.generation &&
      [status?.replicas, status?.updatedReplicas, status?.availableReplicas].every(
        (each) => (each ?? 0) === replicas,
      ) &&
      (status?.terminatingReplicas ?? 0) === 0 &&
      (progress === undefined || progress.reason === "NewReplicaSetAvailable")
    );
  });

/** Waits until the Job has ended so. */
export const ended = async ({ admin, namespace, until }: Stage, name: string, type = "Complete") =>
  await until(`${name} is ${type}`, async () =>
    (await admin.get(Job, { namespace, name })).status?.conditions?.some(
      (each) => each.type === type && each.status === "True",
    ),
  );

/** Waits until the StatefulSet has what it wants; `updated`: as many of them of the newest template. */
export const setSettled = async (
  { admin, namespace, until }: Stage,
  name: string,
  replicas: number,
  updated = replicas,
) =>
  await until(`${name} has settled`, async () => {
    const { metadata, status } = await admin.get(StatefulSet, { namespace, name });
    return (
      status?.observedGeneration === metadata.generation &&
      [status?.replicas, status?.readyReplicas, status?.availableReplicas].every((each) => (each ?? 0) === replicas) &&
      (status?.updatedReplicas ?? 0) === updated
    );
  });
