import { ReplicaSet } from "@coracle/api/apps/v1";
import type { KubeObject, ResourceType } from "@coracle/api";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { ConfigMap, Namespace, Secret } from "@coracle/api/core/v1";
import { any } from "../../picture.ts";
import { keyOf, NothingToDo, type Actor, type Family } from "../actor.ts";

/** A kind of our own whose objects are in no namespace, and one whose are. */
export const Fleet: ResourceType<KubeObject> = {
  group: "example.com",
  version: "v1",
  kind: "Fleet",
  listKind: "FleetList",
  plural: "fleets",
  namespaced: false,
};
export const Boat: ResourceType<KubeObject> = {
  group: "example.com",
  version: "v1",
  kind: "Boat",
  listKind: "BoatList",
  plural: "boats",
  namespaced: true,
};

const TYPES = [any(ConfigMap), any(Secret), Boat, Fleet] as const;
const apiVersionOf = ({ group, version }: ResourceType<unknown>): string =>
  group === "" ? version : `${group}/${version}`;
const NAMES = ["a", "b", "c", "d", "e", "f"];

function objects(actor: Actor): (readonly [ResourceType<KubeObject>, KubeObject])[] {
  return TYPES.flatMap((type) =>
    actor.all(type, ({ metadata }) => metadata.name !== "kube-root-ca.crt").map((object) => [type, object] as const),
  );
}

function anObject(actor: Actor): readonly [ResourceType<KubeObject>, KubeObject] {
  const all = objects(actor);
  if (all.length === 0) throw new NothingToDo();
  return actor.pick(all);
}

const OTHER_UID = "11111111-2222-3333-4444-555555555555";

/** References to what is there; some of them wrong in one point. */
function references(actor: Actor, present: readonly OwnerReference[] = []): object[] {
  // A reference that changes and leads to the same uid upstream does not look at again.
  const known = new Set(present.map(({ uid }) => uid));
  const all = objects(actor).filter(([, { metadata }]) => !known.has(metadata.uid ?? ""));
  const count = actor.pick([0, 1, 1, 1, 2, 3]);
  const chosen = all.length === 0 ? [] : Array.from({ length: count }, () => actor.pick(all));
  return [...new Set(chosen)].map(([type, { metadata }]) => {
    const reference = {
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      name: metadata.name,
      uid: metadata.uid,
      ...(actor.chance(0.5) ? { blockOwnerDeletion: true } : {}),
    };
    if (actor.chance(0.8)) return reference;
    return {
      ...reference,
      ...actor.pick([
        { uid: OTHER_UID },
        { name: "nobody" },
        { kind: "Secret", apiVersion: "v1" },
        { kind: "Nothing" },
        { apiVersion: "example.com/v9" },
      ]),
    };
  });
}

async function make(actor: Actor): Promise<void> {
  const type = actor.pick(TYPES);
  const name = actor.pick(NAMES);
  const finalizers = actor.chance(0.15) ? ["example.com/hold"] : [];
  const labels = { "example.com/history": actor.namespace };
  const key = type.namespaced ? actor.key(name) : { name: `${actor.namespace}-${name}` };
  await actor.create(type, {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    metadata: { ...key, labels, finalizers, ownerReferences: references(actor) },
  });
}

/** Whatever is owned by whatever, rightly and wrongly. */
export const owners: Family = {
  quietMs: 900,
  async begin(actor) {
    await make(actor);
  },
  steps: {
    "something is made": make,
    "something more is made": make,
    "and more": make,
    "and still more": make,
    async "something is deleted"(actor) {
      const [type, object] = anObject(actor);
      await actor.remove(type, object);
    },
    async "something else is deleted"(actor) {
      const [type, object] = anObject(actor);
      await actor.remove(type, object);
    },
    async "it has other owners"(actor) {
      const [type, object] = anObject(actor);
      await actor.merge(type, object, {
        metadata: { ownerReferences: references(actor, object.metadata.ownerReferences) },
      });
    },
    async "it gets a finalizer, or loses it"(actor) {
      const [type, object] = anObject(actor);
      const { finalizers = [] } = object.metadata;
      const others = finalizers.filter((each) => each !== "example.com/hold");
      await actor.merge(type, object, {
        metadata: { finalizers: others.length < finalizers.length ? others : [...others, "example.com/hold"] },
      });
    },
    async "a ReplicaSet owns pods, and is owned"(actor) {
      await actor.create(any(ReplicaSet), {
        metadata: { ...actor.key(actor.pick(["web", "db"])), ownerReferences: references(actor) },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: "web" } },
          template: {
            metadata: { labels: { app: "web" } },
            spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image: "web:1" }] },
          },
        },
      });
    },
    async "a ReplicaSet is deleted"(actor) {
      await actor.remove(ReplicaSet, actor.one(ReplicaSet));
    },
    async "its owner is in another namespace"(actor) {
      const [type, object] = anObject(actor);
      const elsewhere = await actor.admin.get(ConfigMap, { namespace: "kube-system", name: "kube-root-ca.crt" });
      const reference = { apiVersion: "v1", kind: "ConfigMap", name: "kube-root-ca.crt", uid: elsewhere.metadata.uid };
      await actor.merge(type, object, { metadata: { ownerReferences: [reference] } });
    },
    async "the namespace is deleted"(actor) {
      if (actor.chance(0.8)) throw new NothingToDo();
      await actor.admin.delete(Namespace, { name: actor.namespace });
    },
    async "all that was held is let go"(actor) {
      for (const [type, object] of objects(actor).filter(([, each]) => each.metadata.finalizers !== undefined))
        await actor.admin.patch(type, keyOf(object), "merge", { metadata: { finalizers: null } });
    },
  },
};
