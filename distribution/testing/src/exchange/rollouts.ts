import { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import {
  ConfigMap,
  Endpoints,
  PersistentVolumeClaim,
  Pod,
  ReplicationController,
  ResourceQuota,
  Service,
  type PodSpec,
} from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { JOB_ROLLOUTS } from "./job-rollouts.ts";
import { complete, image, isReady, labels, selector, setSettled, template, type Rollout } from "./stage.ts";

/** What each side is to bring to the same end. */
export const ROLLOUTS: Readonly<Record<string, Rollout>> = {
  ...JOB_ROLLOUTS,

  async "a Deployment: surge, scale, history, back to an earlier template"(stage) {
    const { admin, namespace } = stage;
    const key = { namespace, name: "web" };
    await admin.create(Deployment, {
      metadata: { ...key, annotations: { team: "a" } },
      spec: {
        replicas: 4,
        selector,
        revisionHistoryLimit: 2,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "50%", maxUnavailable: 1 } },
        template: template("web:1"),
      },
    });
    await complete(stage, "web", 4);
    for (const next of ["web:2", "web:3"]) {
      await admin.patch(Deployment, key, "strategic", image(next));
      await complete(stage, "web", 4);
    }
    await admin.patch(Deployment, key, "merge", { spec: { replicas: 6 } });
    await complete(stage, "web", 6);
    await admin.patch(Deployment, key, "strategic", image("web:1"));
    await complete(stage, "web", 6);
    await admin.patch(Deployment, key, "merge", { spec: { template: template("web:4") } });
    await complete(stage, "web", 6);
    await stage.until(
      "history is trimmed",
      async () => (await admin.list(ReplicaSet, { namespace })).items.length === 3,
    );
  },

  async "a Deployment: an update that never gets ready, paused, scaled in proportion, resumed"(stage) {
    const { admin, namespace, until } = stage;
    const key = { namespace, name: "web" };
    await admin.create(Deployment, {
      metadata: key,
      spec: {
        replicas: 10,
        selector,
        progressDeadlineSeconds: 3,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
        template: template("web:1"),
      },
    });
    await complete(stage, "web", 10);
    await admin.patch(Deployment, key, "strategic", image("web:broken"));
    await until("it is known to be stuck", async () => {
      const { status } = await admin.get(Deployment, key);
      const isKnown = status?.conditions?.some((each) => each.reason === "ProgressDeadlineExceeded") === true;
      return (
        isKnown && status?.updatedReplicas === 5 && status.availableReplicas === 8 && status.terminatingReplicas === 0
      );
    });
    await admin.patch(Deployment, key, "merge", { spec: { replicas: 20 } });
    await until("it is scaled", async () => {
      const { metadata, status } = await admin.get(Deployment, key);
      const isSeen = status?.observedGeneration === metadata.generation;
      return isSeen && status?.replicas === 23 && status.terminatingReplicas === 0 && status.availableReplicas === 14;
    });
    await admin.patch(Deployment, key, "merge", { spec: { paused: true } });
    await until("it is seen", async () => {
      const { metadata, status } = await admin.get(Deployment, key);
      return status?.observedGeneration === metadata.generation;
    });
  },

  async "a Deployment: Recreate"(stage) {
    const { admin, namespace } = stage;
    await admin.create(Deployment, {
      metadata: { namespace, name: "web" },
      spec: { replicas: 3, selector, strategy: { type: "Recreate" }, template: template("web:1") },
    });
    await complete(stage, "web", 3);
    await admin.patch(Deployment, { namespace, name: "web" }, "strategic", image("web:2"));
    await complete(stage, "web", 3);
  },

  async "a Deployment: paused from the start, then rolled back by its annotation"(stage) {
    const { admin, namespace, until } = stage;
    const key = { namespace, name: "web" };
    await admin.create(Deployment, { metadata: key, spec: { replicas: 2, selector, template: template("web:1") } });
    await complete(stage, "web", 2);
    await admin.patch(Deployment, key, "merge", { spec: { paused: true } });
    await admin.patch(Deployment, key, "strategic", image("web:2"));
    await until("the pause is told", async () =>
      (await admin.get(Deployment, key)).status?.conditions?.some((each) => each.reason === "DeploymentPaused"),
    );
    await admin.patch(Deployment, key, "merge", { spec: { paused: false } });
    await complete(stage, "web", 2);
    const annotations = { "deprecated.deployment.rollback.to": "1" };
    await admin.patch(Deployment, key, "merge", { metadata: { annotations } });
    await until("it is rolled back", async () => {
      const { metadata, spec } = await admin.get(Deployment, key);
      const isDone = metadata.annotations?.["deprecated.deployment.rollback.to"] === undefined;
      return isDone && spec.template.spec?.containers[0]?.image === "web:1";
    });
    await complete(stage, "web", 2);
  },

  async "a ReplicaSet adopts orphans, lets go of what ceases to match, and removes the cheapest first"(stage) {
    const { admin, namespace, until } = stage;
    const pod = (name: string) => ({ metadata: { name, namespace, labels }, spec: template("web:1").spec });
    await admin.create(Pod, pod("orphan"));
    await until("it runs", async () => isReady(await admin.get(Pod, { namespace, name: "orphan" })));
    await admin.create(ReplicaSet, {
      metadata: { namespace, name: "web" },
      spec: { replicas: 3, selector, template: template("web:1") },
    });
    const settled = async (replicas: number) =>
      await until(`${replicas} replicas`, async () => {
        const { status } = await admin.get(ReplicaSet, { namespace, name: "web" });
        const isQuiet = (status?.terminatingReplicas ?? 0) === 0;
        return isQuiet && status?.replicas === replicas && (status.availableReplicas ?? 0) === replicas;
      });
    await settled(3);
    await admin.patch(Pod, { namespace, name: "orphan" }, "merge", {
      metadata: { annotations: { "controller.kubernetes.io/pod-deletion-cost": "-5" } },
    });
    await admin.patch(ReplicaSet, { namespace, name: "web" }, "merge", { spec: { replicas: 2 } });
    await settled(2);
    const [first] = (await admin.list(Pod, { namespace })).items;
    await admin.patch(Pod, { namespace, name: first?.metadata.name ?? "" }, "merge", {
      metadata: { labels: { app: "x" } },
    });
    await until("another takes its place", async () => (await admin.list(Pod, { namespace })).items.length === 3);
    await settled(2);
  },

  async "a ReplicationController that a quota holds back"(stage) {
    const { admin, namespace, until } = stage;
    await admin.create(ResourceQuota, {
      metadata: { namespace, name: "few" },
      spec: { hard: { pods: "2", "count/configmaps": "5" } },
    });
    await until("the quota counts", async () => {
      const { status } = await admin.get(ResourceQuota, { namespace, name: "few" });
      return status?.used?.["count/configmaps"] === "1" && status.used["pods"] === "0";
    });
    await admin.create(ReplicationController, {
      metadata: { namespace, name: "web" },
      spec: { replicas: 3, selector: labels, template: template("web:1") },
    });
    const told = async (isHeld: boolean, replicas: number) =>
      await until(isHeld ? "it says so" : "it says nothing more", async () => {
        const { status } = await admin.get(ReplicationController, { namespace, name: "web" });
        return (
          status?.conditions?.some((each) => each.type === "ReplicaFailure") === (isHeld ? true : undefined) &&
          status?.availableReplicas === replicas
        );
      });
    await told(true, 2);
    await admin.patch(ReplicationController, { namespace, name: "web" }, "merge", { spec: { replicas: 2 } });
    await told(false, 2);
  },

  async "a ReplicationController adopts what is nobody's, and lets go of what ceases to match"(stage) {
    const { admin, namespace, until } = stage;
    await admin.create(Pod, { metadata: { name: "orphan", namespace, labels }, spec: template("web:1").spec });
    await admin.create(ReplicationController, {
      metadata: { namespace, name: "web" },
      spec: { replicas: 1, selector: labels, template: template("web:1") },
    });
    const owner = async (): Promise<string | undefined> =>
      (await admin.get(Pod, { namespace, name: "orphan" })).metadata.ownerReferences?.[0]?.name;
    await until("the orphan is its own", async () => (await owner()) === "web");
    await admin.patch(Pod, { namespace, name: "orphan" }, "merge", { metadata: { labels: { app: "other" } } });
    await until("it is let go, and another made", async () => {
      const { status } = await admin.get(ReplicationController, { namespace, name: "web" });
      const pods = (await admin.list(Pod, { namespace })).items;
      return (await owner()) === undefined && pods.length === 2 && status?.availableReplicas === 1;
    });
  },

  async "a StatefulSet: a part, then all, then fewer"(stage) {
    const { admin, namespace } = stage;
    const key = { namespace, name: "db" };
    await admin.create(StatefulSet, {
      metadata: key,
      spec: {
        replicas: 3,
        serviceName: "db",
        selector,
        ordinals: { start: 5 },
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 2 } },
        template: template("web:1"),
      },
    });
    await setSettled(stage, "db", 3);
    await admin.patch(StatefulSet, key, "strategic", image("web:2"));
    await setSettled(stage, "db", 3, 1);
    await admin.patch(StatefulSet, key, "merge", { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } });
    await setSettled(stage, "db", 3);
    await admin.patch(StatefulSet, key, "merge", { spec: { replicas: 1 } });
    await setSettled(stage, "db", 1);
  },

  async "a parallel StatefulSet: claims by its retention policy, labels put right, a failed pod made anew"(stage) {
    const { admin, namespace, until } = stage;
    await admin.create(StatefulSet, {
      metadata: { namespace, name: "db" },
      spec: {
        replicas: 2,
        serviceName: "db",
        podManagementPolicy: "Parallel",
        selector,
        persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete", whenScaled: "Retain" },
        volumeClaimTemplates: [
          {
            metadata: { name: "data", labels: { kind: "big" } },
            spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
          },
        ],
        template: template("web:1"),
      },
    });
    await until("claims are the set's", async () => {
      const { items } = await admin.list(PersistentVolumeClaim, { namespace });
      return items.length === 2 && items.every((each) => each.metadata.ownerReferences?.length === 1);
    });
    const name = "statefulset.kubernetes.io/pod-name";
    await admin.patch(Pod, { namespace, name: "db-1" }, "merge", { metadata: { labels: { [name]: "wrong" } } });
    await until(
      "its label is right",
      async () => (await admin.get(Pod, { namespace, name: "db-1" })).metadata.labels?.[name] === "db-1",
    );
  },

  async "a DaemonSet: where it fits, replaced in place, then beside"(stage) {
    const { admin, namespace, until } = stage;
    const key = { namespace, name: "agent" };
    const settled = async () =>
      await until("it has settled", async () => {
        const { metadata, status } = await admin.get(DaemonSet, key);
        const isQuiet = (await admin.list(Pod, { namespace })).items.length === 3;
        const counts = [status?.updatedNumberScheduled, status?.numberAvailable, status?.desiredNumberScheduled];
        return isQuiet && status?.observedGeneration === metadata.generation && counts.every((each) => each === 3);
      });
    await admin.create(DaemonSet, {
      metadata: key,
      spec: {
        selector,
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 2 } },
        template: template("web:1"),
      },
    });
    await settled();
    await admin.patch(DaemonSet, key, "strategic", image("web:2"));
    await settled();
    await admin.patch(DaemonSet, key, "merge", {
      spec: {
        updateStrategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: template("web:3", { hostNetwork: true }),
      },
    });
    await settled();
    await admin.patch(DaemonSet, key, "merge", { spec: { template: template("web:2") } });
    await settled();
  },

  async "a DaemonSet: only on one node, left alone with OnDelete"(stage) {
    const { admin, namespace, until } = stage;
    const key = { namespace, name: "agent" };
    await admin.create(DaemonSet, {
      metadata: key,
      spec: {
        selector,
        updateStrategy: { type: "OnDelete" },
        template: template("web:1", { nodeSelector: { disk: "ssd" } }),
      },
    });
    await until("it runs", async () => (await admin.get(DaemonSet, key)).status?.numberAvailable === 1);
    await admin.patch(DaemonSet, key, "strategic", image("web:2"));
    await until(
      "the template is stored",
      async () => (await admin.list(ControllerRevision, { namespace })).items.length === 2,
    );
    await until("it is told", async () => {
      const { metadata, status } = await admin.get(DaemonSet, key);
      return status?.observedGeneration === metadata.generation && (status?.updatedNumberScheduled ?? 0) === 0;
    });
  },

  async "Services: slices and endpoints of ready, unready and hidden pods"(stage) {
    const { admin, namespace, until } = stage;
    const service = (name: string, spec: Service["spec"]) =>
      admin.create(Service, {
        metadata: { namespace, name, labels: { of: name } },
        spec: { selector: labels, ...spec },
      });
    const ports = [
      { name: "http", port: 80, targetPort: "http" },
      { name: "admin", port: 81, targetPort: 8081 },
    ];
    await service("plain", { ports });
    await service("headless", { clusterIP: "None", ports: [{ port: 80 }] });
    await service("all", { ports, publishNotReadyAddresses: true });
    await service("near", { ports, trafficDistribution: "PreferSameZone" });
    await service("nearest", { ports, trafficDistribution: "PreferSameNode" });
    await service("none", { ports, selector: { app: "nobody" } });
    const pod = (name: string, of: string, more: Partial<PodSpec> = {}) =>
      admin.create(Pod, {
        metadata: { namespace, name, labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [{ name: "c", image: of, ports: [{ name: "http", containerPort: 8080 }] }],
          ...more,
        },
      });
    await pod("a", "web:1", { hostname: "a", subdomain: "headless" });
    await pod("b", "web:1");
    await pod("c", "web:broken");
    await admin.create(Service, { metadata: { namespace, name: "mirrored" }, spec: { ports: [{ port: 80 }] } });
    await admin.create(Endpoints, {
      metadata: { namespace, name: "mirrored", labels: { mine: "yes" } },
      subsets: [{ addresses: [{ ip: "192.0.2.7" }], ports: [{ port: 80 }] }],
    });
    await until("all have their slices", async () => {
      const { items } = await admin.list(EndpointSlice, { namespace });
      const of = (name: string) =>
        items.filter((each) => each.metadata.labels?.["kubernetes.io/service-name"] === name);
      const isFull = (name: string) =>
        of(name)
          .flatMap((each) => each.endpoints ?? [])
          .filter((each) => (each.conditions?.ready === true || name === "all") && each.nodeName !== undefined)
          .length >= 2;
      const isHinted = ["near", "nearest"].every(
        (name) =>
          of(name)
            .flatMap((each) => each.endpoints ?? [])
            .filter((each) => each.hints !== undefined).length === 2,
      );
      return (
        ["plain", "headless", "near", "nearest"].every(isFull) &&
        of("all").flatMap((each) => each.endpoints ?? []).length === 3 &&
        isHinted &&
        of("mirrored").length === 1 &&
        of("none").length === 1
      );
    });
    await until("so have the endpoints", async () =>
      (await admin.list(Endpoints, { namespace })).items
        .filter(({ metadata }) => ["plain", "headless", "near", "nearest"].includes(metadata.name ?? ""))
        .every(
          ({ subsets }) =>
            (subsets?.[0]?.addresses?.length ?? 0) === 2 && subsets?.[0]?.notReadyAddresses?.length === 1,
        ),
    );
  },

  async "budgets of a set, of loose pods, and of nobody"(stage) {
    const { admin, namespace, until } = stage;
    // Each has pods of its own: of several budgets for one pod upstream keeps only one up to date.
    const budgets: Readonly<Record<string, PodDisruptionBudget["spec"]>> = {
      most: { minAvailable: "70%" },
      "one-less": { maxUnavailable: 1 },
      share: { maxUnavailable: "30%" },
      three: { minAvailable: 3, unhealthyPodEvictionPolicy: "AlwaysAllow" },
    };
    const pods = template("web:1");
    const healthy: Record<string, number> = { loose: 1, "loose-share": 1, nobody: 0 };
    for (const name of ["loose", "loose-share"])
      await admin.create(Pod, { metadata: { namespace, name, labels: { app: name } }, spec: pods.spec });
    for (const name of Object.keys(budgets)) {
      healthy[name] = 5;
      const own = { ...pods, metadata: { labels: { app: name } } };
      const spec = { replicas: 5, selector: { matchLabels: { app: name } }, template: own };
      await admin.create(ReplicaSet, { metadata: { namespace, name }, spec });
    }
    await until("all pods are ready", async () => {
      const { items } = await admin.list(Pod, { namespace });
      return items.length === 22 && items.every(isReady);
    });
    const budget = (name: string, spec: PodDisruptionBudget["spec"]) =>
      admin.create(PodDisruptionBudget, {
        metadata: { namespace, name },
        spec: { ...spec, selector: { matchLabels: { app: name } } },
      });
    for (const [name, spec] of Object.entries(budgets)) await budget(name, spec);
    await budget("loose", { minAvailable: 1 });
    await budget("loose-share", { maxUnavailable: 1 });
    await budget("nobody", { maxUnavailable: 1 });
    await until("all are counted", async () => {
      const { items } = await admin.list(PodDisruptionBudget, { namespace });
      return items.every(({ metadata, status }) => status?.currentHealthy === healthy[metadata.name ?? ""]);
    });
  },

  async "owners: waited for, left alone, absent, out of reach"(stage) {
    const { admin, namespace, until } = stage;
    const map = async (
      name: string,
      of?: { name: string; uid: string | undefined; kind?: string; apiVersion?: string },
    ) =>
      await admin.create(ConfigMap, {
        metadata: {
          namespace,
          name,
          ...(of === undefined
            ? {}
            : {
                ownerReferences: [
                  { apiVersion: of.apiVersion ?? "v1", kind: of.kind ?? "ConfigMap", name: of.name, uid: of.uid ?? "" },
                ],
              }),
        },
      });
    const elsewhere = await admin.create(ConfigMap, { metadata: { namespace: "default", name: `of-${namespace}` } });
    await map("out-of-reach", { name: `of-${namespace}`, uid: elsewhere.metadata.uid });
    await map("absent", { name: "nobody", uid: "11111111-2222-3333-4444-555555555555" });
    const isGone = async (name: string): Promise<boolean> =>
      !(await admin.list(ConfigMap, { namespace })).items.some((each) => each.metadata.name === name);
    await until("what has no owner is gone", async () => (await isGone("out-of-reach")) && (await isGone("absent")));
    await admin.create(ReplicaSet, {
      metadata: { namespace, name: "web" },
      spec: { replicas: 2, selector, template: template("web:1") },
    });
    await until(
      "it runs",
      async () => (await admin.get(ReplicaSet, { namespace, name: "web" })).status?.availableReplicas === 2,
    );
    await admin.delete(ReplicaSet, { namespace, name: "web" }, { propagationPolicy: "Orphan" });
    await until("its pods are nobody's", async () => {
      const { items } = await admin.list(Pod, { namespace });
      return items.length === 2 && items.every((each) => each.metadata.ownerReferences === undefined);
    });
  },
};
