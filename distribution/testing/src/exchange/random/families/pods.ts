import { Pod } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { any } from "../../picture.ts";
import { keyOf, type Actor, type Step } from "../actor.ts";

/** Images and what becomes of pods with them: run, never get ready. */
export const IMAGES = ["web:1", "web:2", "web:3", "web:broken"] as const;

const now = (): string => new Date().toISOString().replace(/\.\d+Z/, "Z");

/** A template of pods that run for ever. */
export const webTemplate = (actor: Actor, app: string, image: string = actor.pick(IMAGES)) => ({
  metadata: { labels: { app }, ...(actor.chance(0.2) ? { finalizers: ["example.com/hold"] } : {}) },
  spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image }] },
});

/** Says of a pod what its kubelet would, were it so. */
export async function setReady(actor: Actor, pod: Pod, isReady: boolean): Promise<void> {
  const condition = (type: string) => ({ type, status: isReady ? "True" : "False", lastTransitionTime: now() });
  await actor.admin.patch(
    Pod,
    keyOf(pod),
    "strategic",
    { status: { conditions: [condition("Ready"), condition("ContainersReady")] } },
    { subresource: "status" },
  );
}

/** The pod's containers end with this code. */
export async function endPod(actor: Actor, pod: Pod, exitCode: number): Promise<void> {
  const at = now();
  const condition = (type: string) => ({ type, status: "False", lastTransitionTime: at });
  const state = {
    terminated: { exitCode, reason: exitCode === 0 ? "Completed" : "Error", startedAt: at, finishedAt: at },
  };
  await actor.admin.patch(
    Pod,
    keyOf(pod),
    "strategic",
    {
      status: {
        phase: exitCode === 0 ? "Succeeded" : "Failed",
        conditions: [condition("Ready"), condition("ContainersReady")],
        containerStatuses: pod.spec.containers.map(({ name, image = "" }) => ({
          name,
          image,
          imageID: "",
          ready: false,
          restartCount: 0,
          state,
        })),
      },
    },
    { subresource: "status" },
  );
}

export const isLive = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed";
export const isReady = (pod: Pod): boolean =>
  pod.status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") === true;

/** What may happen to any pod. */
export const POD_STEPS: Readonly<Record<string, Step>> = {
  async "a pod is deleted"(actor) {
    await actor.admin.delete(Pod, keyOf(actor.one(Pod)));
  },
  async "a pod fails"(actor) {
    await endPod(actor, actor.one(Pod, isLive), actor.pick([1, 2, 42]));
  },
  async "a pod ends well"(actor) {
    await endPod(actor, actor.one(Pod, isLive), 0);
  },
  async "a pod becomes unready"(actor) {
    await setReady(
      actor,
      actor.one(Pod, (pod) => isLive(pod) && isReady(pod)),
      false,
    );
  },
  async "a pod becomes ready"(actor) {
    const isWaiting = (pod: Pod): boolean =>
      isLive(pod) && !isReady(pod) && pod.spec.nodeName !== undefined && pod.status?.startTime !== undefined;
    await setReady(actor, actor.one(Pod, isWaiting), true);
  },
  async "a pod is evicted"(actor) {
    const pod = actor.one(Pod, isLive);
    const { namespace, name = "" } = pod.metadata;
    const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { namespace, name } };
    await actor.admin.post(Pod, { namespace, name }, "eviction", eviction);
  },
  async "a pod's labels no longer match"(actor) {
    await actor.merge(Pod, actor.one(Pod, isLive), { metadata: { labels: { app: "nobody" } } });
    // Upstream's budgets do not notice that.
    for (const budget of actor.all(PodDisruptionBudget))
      await actor.merge(any(PodDisruptionBudget), budget, {
        metadata: { annotations: { look: String(actor.below(1e9)) } },
      });
  },
  async "a pod's labels match again"(actor) {
    const [app = "web"] = new Set(actor.all(Pod).map((pod) => pod.metadata.labels?.["app"] ?? "web"));
    await actor.merge(
      Pod,
      actor.one(Pod, (pod) => pod.metadata.labels?.["app"] === "nobody"),
      {
        metadata: { labels: { app: app === "nobody" ? "web" : app } },
      },
    );
  },
  // All of them: which of several equal ones is deleted is chance.
  async "the pods there are are held"(actor) {
    for (const pod of actor.all(Pod)) {
      const others = (pod.metadata.finalizers ?? []).filter((each) => each !== "example.com/hold");
      await actor.merge(Pod, pod, { metadata: { finalizers: [...others, "example.com/hold"] } });
    }
  },
  async "all pods that were held are let go"(actor) {
    for (const pod of actor.all(Pod, ({ metadata }) => metadata.finalizers?.includes("example.com/hold") === true)) {
      const finalizers = (pod.metadata.finalizers ?? []).filter((each) => each !== "example.com/hold");
      await actor.merge(Pod, pod, { metadata: { finalizers } });
    }
  },
};
