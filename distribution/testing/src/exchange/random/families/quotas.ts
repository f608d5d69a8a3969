import { ConfigMap, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service } from "@coracle/api/core/v1";
import { any } from "../../picture.ts";
import { keyOf, type Actor, type Family } from "../actor.ts";
import { Boat } from "./owners.ts";
import { POD_STEPS } from "./pods.ts";

function hard(actor: Actor): Record<string, string> {
  const all = {
    pods: "20",
    "requests.cpu": "4",
    "limits.cpu": "8",
    "requests.memory": "4Gi",
    "count/configmaps": "30",
    "count/boats.example.com": "3",
    secrets: "20",
    services: "5",
    "services.nodeports": "2",
    persistentvolumeclaims: "3",
    "requests.storage": "10Gi",
    "gold.storageclass.storage.k8s.io/requests.storage": "5Gi",
    "count/deployments.apps": "3",
  };
  return Object.fromEntries(Object.entries(all).filter(() => actor.chance(0.5)));
}

async function make(actor: Actor): Promise<void> {
  const scoped = actor.chance(0.5)
    ? actor.pick([
        { scopes: ["Terminating"] },
        { scopes: ["NotTerminating"] },
        { scopes: ["BestEffort"] },
        { scopes: ["NotBestEffort"] },
        {
          scopeSelector: {
            matchExpressions: [{ scopeName: "PriorityClass", operator: "In", values: ["system-node-critical"] }],
          },
        },
        { scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "Exists" }] } },
        { scopes: ["CrossNamespacePodAffinity"] },
      ])
    : undefined;
  await actor.create(any(ResourceQuota), {
    metadata: actor.key(actor.pick(["one", "two", "three"])),
    spec: scoped === undefined ? { hard: hard(actor) } : { hard: { pods: "20" }, ...scoped },
  });
}

async function makePod(actor: Actor): Promise<void> {
  const resources = actor.pick([
    {},
    { requests: { cpu: "100m", memory: "64Mi" } },
    { requests: { cpu: "200m", memory: "128Mi" }, limits: { cpu: "300m", memory: "256Mi" } },
  ]);
  await actor.create(any(Pod), {
    metadata: { ...actor.key(`p${actor.below(8)}`), labels: { app: "web" } },
    spec: {
      terminationGracePeriodSeconds: 0,
      ...(actor.chance(0.3) ? { activeDeadlineSeconds: 1000 } : {}),
      containers: [{ name: "c", image: actor.pick(["web:1", "task:ok"]), resources }],
    },
  });
}

/** What is counted, and what is not. */
export const quotas: Family = {
  quietMs: 900,
  begin: make,
  steps: {
    ...POD_STEPS,
    "a quota is made": make,
    "a pod is made": makePod,
    "another pod is made": makePod,
    async "a quota has other limits"(actor) {
      await actor.merge(any(ResourceQuota), actor.one(ResourceQuota), { spec: { hard: hard(actor) } });
    },
    async "a quota is deleted"(actor) {
      await actor.admin.delete(ResourceQuota, keyOf(actor.one(ResourceQuota)));
    },
    async "a ConfigMap or Secret is made"(actor) {
      const type = actor.pick([any(ConfigMap), any(Secret)]);
      await actor.create(type, { metadata: actor.key(`o${actor.below(5)}`) });
    },
    async "a ConfigMap is deleted"(actor) {
      // One that comes back at once upstream may count before, and leave it at that.
      const isOurs = (map: ConfigMap): boolean => map.metadata.name !== "kube-root-ca.crt";
      await actor.admin.delete(ConfigMap, keyOf(actor.one(ConfigMap, isOurs)));
    },
    async "a Secret is deleted"(actor) {
      await actor.admin.delete(Secret, keyOf(actor.one(Secret)));
    },
    async "a Boat is made"(actor) {
      await actor.create(Boat, {
        apiVersion: "example.com/v1",
        kind: "Boat",
        metadata: actor.key(`b${actor.below(4)}`),
      });
    },
    async "a Boat is deleted"(actor) {
      await actor.admin.delete(Boat, keyOf(actor.one(Boat)));
    },
    async "a Service is made"(actor) {
      await actor.create(any(Service), {
        metadata: actor.key(`s${actor.below(3)}`),
        spec: {
          ports: [{ port: 80 }],
          selector: { app: "web" },
          type: actor.pick(["ClusterIP", "NodePort", "LoadBalancer"]),
        },
      });
    },
    async "a Service is of another type"(actor) {
      const type = actor.pick(["ClusterIP", "NodePort", "LoadBalancer"]);
      await actor.merge(any(Service), actor.one(Service), { spec: { type } });
    },
    async "a Service is deleted"(actor) {
      await actor.admin.delete(Service, keyOf(actor.one(Service)));
    },
    async "a claim is made"(actor) {
      await actor.create(any(PersistentVolumeClaim), {
        metadata: actor.key(`c${actor.below(3)}`),
        spec: {
          accessModes: ["ReadWriteOnce"],
          storageClassName: actor.pick(["gold", "lead"]),
          resources: { requests: { storage: actor.pick(["1Gi", "500Mi"]) } },
        },
      });
    },
    async "a claim is deleted"(actor) {
      await actor.admin.delete(PersistentVolumeClaim, keyOf(actor.one(PersistentVolumeClaim)));
    },
  },
};
