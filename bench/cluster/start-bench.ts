import { sleep, systemClock } from "@coracle/base";
import type { BenchOptions } from "../options.ts";
import { median, note, report } from "../report.ts";
import { BenchCluster, isReady, unpackPrograms } from "./bench-cluster.ts";
import { insideNamespace } from "./inside.ts";
import { deployment, singlePod, webAndClient } from "./manifests.ts";

const MANY = 100;
const PODS = "/api/v1/namespaces/default/pods";

/** From `coracle up` to a working application, and back to nothing. */
export function benchStart(options: BenchOptions): Promise<void> {
  return insideNamespace(async () => {
    unpackPrograms();
    const cluster = new BenchCluster(options.coracle);
    const seconds = new Map<string, number[]>();
    const add = (metric: string, ms: number): void => {
      seconds.set(metric, [...(seconds.get(metric) ?? []), ms / 1000]);
      note(`${metric}: ${(ms / 1000).toFixed(2)} s`);
    };
    try {
      note("putting the image on the node");
      await cluster.up();
      await cluster.loadImage();
      await cluster.down();
      for (let run = 1; run <= options.runs; run++) {
        note(`run ${run} of ${options.runs}`);
        cluster.forget();
        await measureOnce(cluster, add);
      }
    } finally {
      await cluster.remove();
    }
    for (const [metric, values] of seconds) report({ bench: "start", metric, value: median(values), unit: "s" });
  });
}

async function measureOnce(cluster: BenchCluster, add: (metric: string, ms: number) => void): Promise<void> {
  const startedAt = systemClock.monotonicMs();
  const { apiReadyMs, nodeReadyMs, returnedMs } = await cluster.up();
  add("up to API ready", apiReadyMs);
  add("up to node Ready", nodeReadyMs);
  add("up --detach", returnedMs);
  await apply(cluster, webAndClient());
  await cluster.watchUntil(PODS, (pods) => pods.get("client")?.status?.phase === "Succeeded");
  add("up to an app answering by DNS name", systemClock.monotonicMs() - startedAt);

  const appliedAt = systemClock.monotonicMs();
  const ready = cluster.watchUntil(PODS, (pods) =>
    [...pods.values()].some((pod) => isNamed(pod, "one") && isReady(pod)),
  );
  await cluster.kubectl(singlePod("one"), "apply", "-f", "-");
  await ready;
  add("apply to pod Ready", systemClock.monotonicMs() - appliedAt);

  const manyAt = systemClock.monotonicMs();
  const allReady = cluster.watchUntil(
    PODS,
    (pods) =>
      [...pods.values()].filter((pod) => pod.metadata.labels?.["app"] === "many" && isReady(pod)).length === MANY,
  );
  await cluster.kubectl(deployment("many", MANY), "apply", "-f", "-");
  await allReady;
  add("100 pods of one Deployment Ready", systemClock.monotonicMs() - manyAt);

  const deletedAt = systemClock.monotonicMs();
  await cluster.kubectl("", "delete", "deployment", "many", "--wait=false");
  await cluster.watchUntil(PODS, (pods) => ![...pods.values()].some((pod) => pod.metadata.labels?.["app"] === "many"));
  add("100 pods gone", systemClock.monotonicMs() - deletedAt);
  add("down", await cluster.down());
}

const isNamed = (pod: { readonly metadata: { readonly name: string } }, name: string): boolean =>
  pod.metadata.name === name;

/** Applies as people do: again, when the namespace's service account is not there yet. */
async function apply(cluster: BenchCluster, manifest: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await cluster.kubectl(manifest, "apply", "-f", "-");
      return;
    } catch (error) {
      if (attempt === 20) throw error;
      await sleep(systemClock, 100);
    }
  }
}
