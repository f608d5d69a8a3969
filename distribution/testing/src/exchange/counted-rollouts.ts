import { DaemonSet, Deployment, StatefulSet } from "@coracle/api/apps/v1";
import { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { CronJob, Job } from "@coracle/api/batch/v1";
import type { SimulatedNode } from "../control-plane/simulated-node.ts";
import { complete, ended, image, NODES, selector, setSettled, task, template, type Rollout } from "./stage.ts";

const HUNDRED = 100;

/** Something of which the calls that controllers make are counted. */
export interface CountedRollout {
  readonly rollout: Rollout;
  /** How many upstream's controllers (v1.35) took; events and reads are counted, too. */
  readonly upstreams: number;
}

/** Twenty, of the same zone. */
export const COUNTED_NODES: readonly SimulatedNode[] = Array.from({ length: 20 }, (_, i) => ({
  ...(NODES[0] as SimulatedNode),
  name: `n${i + 1}`,
}));

export const COUNTED_ROLLOUTS: Readonly<Record<string, CountedRollout>> = {
  "a Deployment of a hundred pods, and another template": {
    upstreams: 548,
    async rollout(stage) {
      const key = { namespace: stage.namespace, name: "web" };
      await stage.admin.create(Deployment, {
        metadata: key,
        spec: { replicas: HUNDRED, selector, template: template("web:1") },
      });
      await complete(stage, "web", HUNDRED);
      await stage.admin.patch(Deployment, key, "strategic", image("web:2"));
      await complete(stage, "web", HUNDRED);
    },
  },

  "a Job of a hundred completions": {
    upstreams: 236,
    async rollout(stage) {
      await stage.admin.create(Job, {
        metadata: { namespace: stage.namespace, name: "task" },
        spec: { completions: HUNDRED, parallelism: HUNDRED, template: task("task:ok") },
      });
      await ended(stage, "task");
    },
  },

  "an indexed Job of a hundred completions, ten at a time": {
    upstreams: 243,
    async rollout(stage) {
      await stage.admin.create(Job, {
        metadata: { namespace: stage.namespace, name: "task" },
        spec: { completions: HUNDRED, parallelism: 10, completionMode: "Indexed", template: task("task:ok") },
      });
      await ended(stage, "task");
    },
  },

  "a StatefulSet of 20, and another template": {
    upstreams: 222,
    async rollout(stage) {
      const key = { namespace: stage.namespace, name: "web" };
      await stage.admin.create(StatefulSet, {
        metadata: key,
        spec: { replicas: 20, selector, serviceName: "web", template: template("web:1") },
      });
      await setSettled(stage, "web", 20);
      await stage.admin.patch(StatefulSet, key, "strategic", image("web:2"));
      await setSettled(stage, "web", 20);
    },
  },

  "a DaemonSet on 20 nodes, and another template": {
    upstreams: 178,
    async rollout(stage) {
      const { admin, namespace, until } = stage;
      const key = { namespace, name: "web" };
      const settled = async (): Promise<void> => {
        await until("all nodes have it", async () => {
          const { metadata, status } = await admin.get(DaemonSet, key);
          const counts = [status?.updatedNumberScheduled, status?.numberAvailable, status?.desiredNumberScheduled];
          return status?.observedGeneration === metadata.generation && counts.every((each) => each === 20);
        });
      };
      await admin.create(DaemonSet, { metadata: key, spec: { selector, template: template("web:1") } });
      await settled();
      await admin.patch(DaemonSet, key, "strategic", image("web:2"));
      await settled();
    },
  },

  "a CronJob's first Job": {
    upstreams: 16,
    async rollout({ admin, namespace, until }) {
      const key = { namespace, name: "task" };
      await admin.create(CronJob, {
        metadata: key,
        spec: { schedule: "* * * * *", jobTemplate: { spec: { template: task("task:ok") } } },
      });
      await until("its first Job is over", async () => {
        const { status } = await admin.get(CronJob, key);
        return status?.lastSuccessfulTime !== undefined && (status.active ?? []).length === 0;
      });
      await admin.delete(CronJob, key, { propagationPolicy: "Orphan" });
    },
  },

  "an autoscaler that wants more": {
    upstreams: 40,
    async rollout(stage) {
      const { admin, namespace, until } = stage;
      const key = { namespace, name: "web" };
      await admin.create(Deployment, { metadata: key, spec: { replicas: 1, selector, template: template("web:1") } });
      await complete(stage, "web", 1);
      await admin.create(HorizontalPodAutoscaler, {
        metadata: key,
        spec: {
          scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
          minReplicas: 5,
          maxReplicas: 9,
        },
      });
      await until("it is scaled", async () => (await admin.get(Deployment, key)).spec.replicas === 5);
      await admin.delete(HorizontalPodAutoscaler, key, {});
      await complete(stage, "web", 5);
    },
  },
};
