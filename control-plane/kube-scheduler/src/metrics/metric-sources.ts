import type { SchedulingQueue } from "../queue/scheduling-queue.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { MetricSources } from "./scheduler-metrics.ts";

/** Numbers that are there anyway, counted when somebody asks. */
export function metricSources(queue: SchedulingQueue, state: ClusterState): MetricSources {
  return {
    pending: () => queue.counts(),
    inFlight: () => queue.inFlight(),
    cache() {
      let pods = 0;
      for (const node of state.nodes()) pods += node.podCount;
      return { nodes: state.nodes().length, pods, assumedPods: state.assumedCount };
    },
    *rejections() {
      const counts = new Map<string, [plugin: string, profile: string, pods: number]>();
      for (const [, { pod, rejectedBy }] of queue.entries()) {
        for (const plugin of rejectedBy) {
          const profile = pod.spec.schedulerName ?? "";
          const entry = counts.get(`${profile}\n${plugin}`) ?? [plugin, profile, 0];
          entry[2] += 1;
          counts.set(`${profile}\n${plugin}`, entry);
        }
      }
      yield* counts.values();
    },
  };
}
