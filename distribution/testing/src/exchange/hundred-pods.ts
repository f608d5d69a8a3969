import { Deployment } from "@coracle/api/apps/v1";
import type { Stage } from "./stage.ts";

const PODS = 100;
const labels = { app: "web" };

/** A Deployment of a hundred pods is made, and gets another template. */
export async function rollOutHundredPods({ admin, namespace, until }: Stage): Promise<void> {
  const key = { namespace, name: "web" };
  const complete = async (): Promise<void> => {
    await until("all hundred are available", async () => {
      const { metadata, status } = await admin.get(Deployment, key);
      const counts = [status?.replicas, status?.updatedReplicas, status?.availableReplicas];
      return status?.observedGeneration === metadata.generation && counts.every((each) => each === PODS);
    });
  };
  await admin.create(Deployment, {
    metadata: key,
    spec: {
      replicas: PODS,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image: "web:1" }] },
      },
    },
  });
  await complete();
  await admin.patch(Deployment, key, "strategic", {
    spec: { template: { spec: { containers: [{ name: "c", image: "web:2" }] } } },
  });
  await complete();
}
