import { ReplicaSet } from "@coracle/api/apps/v1";
import { Pod, ReplicationController } from "@coracle/api/core/v1";
import type { KubeObject, ResourceType } from "@coracle/api";
import { any } from "../../picture.ts";
import { NothingToDo, type Actor, type Family } from "../actor.ts";
import { POD_STEPS, webTemplate } from "./pods.ts";

/** One of either kind. */
function aSet(actor: Actor): readonly [ResourceType<KubeObject>, KubeObject] {
  const sets = [ReplicaSet, ReplicationController]
    .map(any)
    .flatMap((type) => actor.all(type).map((set) => [type, set] as const));
  if (sets.length === 0) throw new NothingToDo();
  return actor.pick(sets);
}

async function make(actor: Actor): Promise<void> {
  const name = actor.pick(["web", "db"]);
  const isSet = actor.chance(0.6);
  const spec = { replicas: actor.below(6), minReadySeconds: actor.pick([0, 1]) };
  const key = actor.key(isSet ? name : `${name}-rc`);
  if (isSet)
    await actor.create(any(ReplicaSet), {
      metadata: key,
      spec: { ...spec, selector: { matchLabels: { app: name } }, template: webTemplate(actor, name, "web:1") },
    });
  else
    await actor.create(any(ReplicationController), {
      metadata: key,
      spec: { ...spec, selector: { app: name }, template: webTemplate(actor, name, "web:1") },
    });
}

/** ReplicaSets and ReplicationControllers, some of which want the same pods. */
export const replicas: Family = {
  quietMs: 600,
  begin: make,
  steps: {
    ...POD_STEPS,
    "one is made": make,
    async "one is scaled"(actor) {
      const [type, set] = aSet(actor);
      await actor.merge(type, set, { spec: { replicas: actor.below(8) } });
    },
    async "one has another template for new pods"(actor) {
      const [type, set] = aSet(actor);
      const image = actor.pick(["web:1", "web:2", "web:broken"]);
      const containers = [{ name: "c", image }];
      await actor.merge(type, set, { spec: { template: { spec: { containers } } } });
    },
    async "one is deleted"(actor) {
      const [type, set] = aSet(actor);
      await actor.remove(type, set);
    },
    async "one has to wait longer"(actor) {
      const [type, set] = aSet(actor);
      await actor.merge(type, set, { spec: { minReadySeconds: actor.below(3) } });
    },
    async "a pod is nobody's"(actor) {
      const pod = actor.one(Pod, ({ metadata }) => metadata.ownerReferences !== undefined);
      await actor.merge(any(Pod), pod, { metadata: { ownerReferences: null } });
    },
    // Before there is anybody who adopts them: whether a pod is ready when it is adopted is chance.
    async "pods are made by hand"(actor) {
      if (actor.all(ReplicaSet).length + actor.all(ReplicationController).length > 0) throw new NothingToDo();
      const { metadata, spec } = webTemplate(actor, actor.pick(["web", "db"]), "web:1");
      for (const name of ["loose0", "loose1"].slice(actor.below(2)))
        await actor.create(any(Pod), { metadata: { ...metadata, ...actor.key(name) }, spec });
    },
    async "a pod costs less to delete"(actor) {
      const annotations = { "controller.kubernetes.io/pod-deletion-cost": actor.pick(["-5", "7"]) };
      await actor.merge(any(Pod), actor.one(Pod), { metadata: { annotations } });
    },
    async "one gets a finalizer, or loses it"(actor) {
      const [type, set] = aSet(actor);
      const { finalizers = [] } = set.metadata;
      const others = finalizers.filter((each) => each !== "example.com/hold");
      await actor.merge(type, set, {
        metadata: { finalizers: others.length < finalizers.length ? others : [...others, "example.com/hold"] },
      });
    },
  },
};
