import { StatefulSet } from "@coracle/api/apps/v1";
import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { any } from "../../picture.ts";
import { keyOf, NothingToDo, type Actor, type Family } from "../actor.ts";
import { HISTORY_LABEL } from "../camera.ts";
import { POD_STEPS, webTemplate } from "./pods.ts";

const VOLUMES = 12;

async function make(actor: Actor): Promise<void> {
  const hasClaims = actor.chance(0.5);
  await actor.create(any(StatefulSet), {
    metadata: actor.key("db"),
    spec: {
      replicas: actor.below(5),
      serviceName: "db",
      selector: { matchLabels: { app: "db" } },
      podManagementPolicy: actor.pick(["OrderedReady", "Parallel"]),
      updateStrategy: strategy(actor),
      minReadySeconds: actor.pick([0, 0, 1]),
      revisionHistoryLimit: actor.pick([0, 1, 10]),
      ...(actor.chance(0.3) ? { ordinals: { start: actor.below(3) } } : {}),
      ...(hasClaims
        ? { persistentVolumeClaimRetentionPolicy: retention(actor), volumeClaimTemplates: claims(actor) }
        : {}),
      template: webTemplate(actor, "db", "web:1"),
    },
  });
}

const strategy = (actor: Actor): object =>
  actor.chance(0.2)
    ? { type: "OnDelete", rollingUpdate: null }
    : { type: "RollingUpdate", rollingUpdate: { partition: actor.pick([0, 0, 1, 2]) } };
const retention = (actor: Actor): object => ({
  whenDeleted: actor.pick(["Retain", "Delete"]),
  whenScaled: actor.pick(["Retain", "Delete"]),
});
const claims = (actor: Actor): object => [
  {
    metadata: { name: "data" },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: actor.namespace,
      resources: { requests: { storage: "1Gi" } },
    },
  },
];

/** Some volumes that only this history's claims want. */
async function addVolumes(actor: Actor): Promise<void> {
  for (let i = 0; i < VOLUMES; i++)
    await actor.create(any(PersistentVolume), {
      metadata: { name: `${actor.namespace}-${i}`, labels: { [HISTORY_LABEL]: actor.namespace } },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        storageClassName: actor.namespace,
        persistentVolumeReclaimPolicy: "Retain",
        hostPath: { path: "/tmp" },
      },
    });
}

const change = async (actor: Actor, spec: object): Promise<void> =>
  actor.merge(any(StatefulSet), actor.one(StatefulSet), { spec });

/** Pods that have names and storage of their own. */
export const statefulSets: Family = {
  quietMs: 900,
  async begin(actor) {
    await addVolumes(actor);
    await make(actor);
  },
  steps: {
    ...POD_STEPS,
    "one is made": make,
    async "it is scaled"(actor) {
      await change(actor, { replicas: actor.below(6) });
    },
    async "it gets another template"(actor) {
      const containers = [{ name: "c", image: actor.pick(["web:1", "web:2", "web:3", "web:broken"]) }];
      await change(actor, { template: { spec: { containers } } });
    },
    async "its strategy changes"(actor) {
      await change(actor, { updateStrategy: strategy(actor) });
    },
    async "its limits change"(actor) {
      await change(actor, { revisionHistoryLimit: actor.below(3), minReadySeconds: actor.below(2) });
    },
    async "it begins at another ordinal"(actor) {
      await change(actor, { ordinals: { start: actor.below(4) } });
    },
    async "its claims are kept or go"(actor) {
      await change(actor, { persistentVolumeClaimRetentionPolicy: retention(actor) });
    },
    async "it is deleted"(actor) {
      await actor.remove(StatefulSet, actor.one(StatefulSet));
    },
    async "a claim is deleted"(actor) {
      await actor.admin.delete(PersistentVolumeClaim, keyOf(actor.one(PersistentVolumeClaim)));
    },
    async "a pod is nobody's"(actor) {
      const pod = actor.one(Pod, ({ metadata }) => metadata.ownerReferences !== undefined);
      await actor.merge(any(Pod), pod, { metadata: { ownerReferences: null } });
    },
    async "a pod of one of its names is made by hand"(actor) {
      // Upstream tries for ever to give such a pod the claims of the set, which no server allows.
      if (actor.all(StatefulSet, ({ spec }) => spec.volumeClaimTemplates !== undefined).length > 0)
        throw new NothingToDo();
      const { metadata, spec } = webTemplate(actor, actor.pick(["db", "other"]), "web:1");
      await actor.create(any(Pod), { metadata: { ...metadata, ...actor.key(`db-${actor.below(4)}`) }, spec });
    },
    async "a pod's own label is wrong"(actor) {
      const labels = { "statefulset.kubernetes.io/pod-name": "wrong" };
      await actor.merge(any(Pod), actor.one(Pod), { metadata: { labels } });
    },
  },
};
