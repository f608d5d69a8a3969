import { X509Certificate } from "node:crypto";
import { SelfSubjectReview } from "@coracle/api/authentication/v1";
import { CertificateSigningRequest } from "@coracle/api/certificates/v1";
import { ClusterRoleBinding } from "@coracle/api/rbac/v1";
import { DaemonSet, Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import { Lease } from "@coracle/api/coordination/v1";
import {
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  PersistentVolumeClaim,
  Pod,
  Secret,
  Service,
  ServiceAccount,
} from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { PriorityClass } from "@coracle/api/scheduling/v1";
import { isNotFound, isStatusError } from "@coracle/apimachinery";
import { createSeededRandom, silentLogger } from "@coracle/base";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };
const HOUR_MS = 3_600_000;

/** Made by OpenSSL: O=system:nodes, CN=system:node:n9. */
const NODE_REQUEST = `-----BEGIN CERTIFICATE REQUEST-----
MIHrMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lz
dGVtOm5vZGU6bjkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2h0iv3AnXfA4V
mAQBG+OVJp/S3sJ2zL13GbnUIQMd79XGI/U3tMUAJFhvnjuZzKhFrg7I3yyRopbo
aS4vAz2FoAAwCgYIKoZIzj0EAwIDSAAwRQIgCUcszHGUPHEp6HMY31gNECX+gd3k
CdeAVeJPnXRPj5wCIQCuZBRefrJ9hhiBS2xmeUbCyZGDQFbKH4WOslGP1+Ugcw==
-----END CERTIFICATE REQUEST-----`;

const template = (image: string, part: Partial<Pod["spec"]> = {}) => ({
  metadata: { labels },
  spec: { containers: [{ name: "c", image }], ...part },
});
const task = (image: string) => ({ spec: { restartPolicy: "Never", containers: [{ name: "task", image }] } });

describe("controllers, with time in the test's hand", () => {
  let plane: TestControlPlane;
  const pods = async (): Promise<readonly Pod[]> => (await plane.admin.list(Pod, { namespace })).items;
  const isReady = (pod: Pod): boolean =>
    pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  const isGoing = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
  const images = (list: readonly Pod[]): string[] =>
    list.map((pod) => `${pod.metadata.name} ${pod.spec.containers[0]?.image}`).toSorted();
  const isGone = async (attempt: Promise<unknown>): Promise<boolean> => {
    try {
      await attempt;
      return false;
    } catch (error) {
      return isNotFound(error);
    }
  };
  const node = (name: string) => ({ name, shortImage: "task:ok", failingImage: "task:bad" });

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    await plane.addNode(node("n1"));
    await plane.addNode(node("n2"));
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  it("a Job whose pods fail waits longer each time, and fails beyond its limit", async () => {
    await plane.admin.create(Job, {
      metadata: { name: "bad", namespace },
      spec: { backoffLimit: 2, template: task("task:bad") },
    });
    const began = plane.clock.now();
    const attempts: number[] = [];
    const failed = await plane.until(
      "it has failed",
      async () => {
        const count = (await pods()).length;
        while (attempts.length < count) attempts.push(Math.round((plane.clock.now() - began) / 1000));
        const { status } = await plane.admin.get(Job, { namespace, name: "bad" });
        return status?.conditions?.find(({ type, status: holds }) => type === "Failed" && holds === "True");
      },
      { limitMs: 200_000, stepMs: 500 },
    );
    expect(failed).toMatchObject({
      reason: "BackoffLimitExceeded",
      message: "Job has reached the specified backoff limit",
    });
    expect(attempts).toHaveLength(3);
    const [first = 0, second = 0, third = 0] = attempts;
    // Counted from the end of the pod before, which is told in whole seconds.
    expect(second - first).toBeGreaterThanOrEqual(9);
    expect(third - second).toBeGreaterThanOrEqual(19);
    expect((await plane.admin.get(Job, { namespace, name: "bad" })).status?.failed).toBe(3);
  });

  it("an Indexed Job with a limit per index gives up the bad one and completes the others", async () => {
    await plane.admin.create(Job, {
      metadata: { name: "some", namespace },
      spec: {
        completionMode: "Indexed",
        completions: 2,
        parallelism: 1,
        backoffLimitPerIndex: 1,
        template: task("task:bad"),
      },
    });
    const failed = await plane.until(
      "it has failed",
      async () => {
        const { status } = await plane.admin.get(Job, { namespace, name: "some" });
        const holds = status?.conditions?.some((each) => each.type === "Failed" && each.status === "True") === true;
        return holds ? status : undefined;
      },
      { limitMs: 200_000, stepMs: 500 },
    );
    expect(failed).toMatchObject({ failedIndexes: "0,1", failed: 4 });
    expect(failed.conditions?.find(({ type }) => type === "Failed")?.reason).toBe("FailedIndexes");
  });

  it("a CronJob runs every hour of a night, and keeps only as much history as it should", async () => {
    await plane.admin.create(CronJob, {
      metadata: { name: "hourly", namespace },
      spec: {
        schedule: "0 * * * *",
        successfulJobsHistoryLimit: 1,
        jobTemplate: { spec: { template: task("task:ok") } },
      },
    });
    const seen = new Set<string>();
    await plane.until(
      "three runs",
      async () => {
        for (const { metadata } of (await plane.admin.list(Job, { namespace })).items) seen.add(metadata.name ?? "");
        return seen.size >= 3;
      },
      { limitMs: 4 * HOUR_MS, stepMs: 20_000 },
    );
    const minutes = [...seen].map((name) => Number(name.split("-")[1])).toSorted((a, b) => a - b);
    expect(minutes.every((minute, i) => i === 0 || minute - (minutes[i - 1] ?? 0) === 60)).toBe(true);
    await plane.until("one is kept", async () => (await plane.admin.list(Job, { namespace })).items.length === 1);
  });

  it("an ended Job is deleted with its pods after its time to live", async () => {
    await plane.admin.create(Job, {
      metadata: { name: "short", namespace },
      spec: { ttlSecondsAfterFinished: 100, template: task("task:ok") },
    });
    await plane.until(
      "complete",
      async () => (await plane.admin.get(Job, { namespace, name: "short" })).status?.succeeded === 1,
    );
    const ended = plane.clock.now();
    await plane.until("gone", () => isGone(plane.admin.get(Job, { namespace, name: "short" })), {
      limitMs: 200_000,
      stepMs: 1000,
    });
    expect(plane.clock.now() - ended).toBeGreaterThanOrEqual(95_000);
    await plane.until("its pods too", async () => (await pods()).length === 0);
  });

  it("a silent node is NotReady, tainted, and its pods are replaced elsewhere after five minutes", async () => {
    await plane.admin.create(Deployment, {
      metadata: { name: "web", namespace },
      spec: { replicas: 2, selector: { matchLabels: labels }, template: template("web:1") },
    });
    await plane.until("both ready", async () => (await pods()).filter(isReady).length === 2);
    plane.silenceNode("n1");
    const silent = plane.clock.now();
    await plane.until(
      "the node is unknown",
      async () => {
        const { status } = await plane.admin.get(Node, { name: "n1" });
        return status?.conditions?.some(({ type, status: holds }) => type === "Ready" && holds === "Unknown") ?? false;
      },
      { limitMs: 120_000, stepMs: 1000 },
    );
    expect(plane.clock.now() - silent).toBeGreaterThanOrEqual(40_000);
    const taints = await plane.until("it is tainted", async () => {
      const { spec } = await plane.admin.get(Node, { name: "n1" });
      return spec.taints?.some(({ effect }) => effect === "NoExecute") === true ? spec.taints : undefined;
    });
    expect(taints.map(({ key, effect }) => `${key}:${effect}`).toSorted()).toEqual([
      "node.kubernetes.io/unreachable:NoExecute",
      "node.kubernetes.io/unreachable:NoSchedule",
    ]);
    const tainted = plane.clock.now();
    expect((await pods()).filter(isReady)).toHaveLength(1);
    await plane.until(
      "a replacement on the other node",
      async () => (await pods()).filter((pod) => isReady(pod) && pod.spec.nodeName === "n2").length === 2,
      { limitMs: 400_000, stepMs: 1000 },
    );
    expect(plane.clock.now() - tainted).toBeGreaterThanOrEqual(299_000);
    const going = (await pods()).filter(isGoing);
    expect(going.map((pod) => pod.spec.nodeName)).toEqual(["n1"]);
    expect(going[0]?.status?.conditions?.find(({ type }) => type === "DisruptionTarget")?.reason).toBe(
      "DeletionByTaintManager",
    );
    // Once the node's object is deleted nobody can be waiting for its kubelet any more.
    await plane.admin.delete(Node, { name: "n1" });
    await plane.until("the old pod is gone", async () => !(await pods()).some(isGoing), {
      limitMs: 120_000,
      stepMs: 1000,
    });
  });

  it("a StatefulSet is made in order, updated down to its partition, and then wholly", async () => {
    await plane.admin.create(StatefulSet, {
      metadata: { name: "db", namespace },
      spec: { replicas: 3, serviceName: "db", selector: { matchLabels: labels }, template: template("db:1") },
    });
    const order: string[] = [];
    await plane.until("three ready", async () => {
      for (const pod of await pods()) if (!order.includes(pod.metadata.name ?? "")) order.push(pod.metadata.name ?? "");
      return (await pods()).filter(isReady).length === 3;
    });
    expect(order).toEqual(["db-0", "db-1", "db-2"]);
    const update = async (spec: object): Promise<unknown> =>
      plane.admin.patch(StatefulSet, { namespace, name: "db" }, "strategic", { spec });
    await update({
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 2 } },
      template: { spec: { containers: [{ name: "c", image: "db:2" }] } },
    });
    const isUpdated = async (count: number): Promise<boolean> => {
      const { status } = await plane.admin.get(StatefulSet, { namespace, name: "db" });
      return status?.updatedReplicas === count && status.readyReplicas === 3;
    };
    await plane.until("the last one is new", () => isUpdated(1));
    expect(images(await pods())).toEqual(["db-0 db:1", "db-1 db:1", "db-2 db:2"]);
    // One that is lost below the partition comes back as it was.
    await plane.admin.delete(Pod, { namespace, name: "db-0" });
    await plane.until("it is back", async () => (await pods()).filter(isReady).length === 3);
    expect(images(await pods())[0]).toBe("db-0 db:1");
    await update({ updateStrategy: { rollingUpdate: { partition: 0 } } });
    await plane.until("all are new", () => isUpdated(3));
    expect(images(await pods())).toEqual(["db-0 db:2", "db-1 db:2", "db-2 db:2"]);
  });

  it("a StatefulSet's claims go when it is scaled down or deleted, if it says so", async () => {
    const claims = async (): Promise<string> =>
      (await plane.admin.list(PersistentVolumeClaim, { namespace })).items
        .map(({ metadata }) => metadata.name)
        .toSorted()
        .join();
    const mode = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    await plane.admin.create(StatefulSet, {
      metadata: { name: "db", namespace },
      spec: {
        replicas: 2,
        serviceName: "db",
        podManagementPolicy: "Parallel",
        persistentVolumeClaimRetentionPolicy: { whenDeleted: "Delete", whenScaled: "Delete" },
        selector: { matchLabels: labels },
        template: template("db:1"),
        volumeClaimTemplates: [{ metadata: { name: "data" }, spec: mode }],
      },
    });
    await plane.until("two claims", async () => (await claims()) === "data-db-0,data-db-1");
    // Nobody binds claims here: the pods wait, and say for what.
    const waiting = await plane.until(
      "the pods wait",
      async () =>
        (await pods()).flatMap(
          (pod) => pod.status?.conditions?.find(({ type }) => type === "PodScheduled")?.message ?? [],
        )[0],
    );
    expect(waiting).toMatch(/^0\/2 nodes are available: pod has unbound immediate PersistentVolumeClaims\. /);
    await plane.admin.patch(StatefulSet, { namespace, name: "db" }, "merge", { spec: { replicas: 1 } });
    await plane.until("one claim", async () => (await claims()) === "data-db-0");
    await plane.admin.delete(StatefulSet, { namespace, name: "db" });
    await plane.until("none", async () => (await claims()) === "");
  });

  it("a DaemonSet reaches a new node, and leaves one whose taint it does not tolerate", async () => {
    await plane.admin.create(DaemonSet, {
      metadata: { name: "agent", namespace },
      spec: { selector: { matchLabels: labels }, template: template("agent:1") },
    });
    const where = async (): Promise<string> =>
      (await pods())
        .filter(isReady)
        .map((pod) => pod.spec.nodeName)
        .toSorted()
        .join();
    await plane.until("on both", async () => (await where()) === "n1,n2");
    await plane.addNode(node("n3"));
    await plane.until("on the third", async () => (await where()) === "n1,n2,n3");
    const taints = [{ key: "example.com/gone", effect: "NoExecute" }];
    await plane.admin.patch(Node, { name: "n1" }, "merge", { spec: { taints } });
    await plane.until("gone from the first", async () => (await where()) === "n2,n3");
  });

  it("orphaned pods stay; in the foreground the owner waits for them", async () => {
    const set = (name: string): ReplicaSet => ({
      metadata: { name, namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: { set: name } },
        template: { metadata: { labels: { set: name } }, spec: { containers: [{ name: "c", image: "web:1" }] } },
      },
    });
    const of = async (name: string): Promise<readonly Pod[]> =>
      (await pods()).filter((pod) => pod.metadata.labels?.["set"] === name);
    for (const name of ["left", "waited"]) await plane.admin.create(ReplicaSet, set(name));
    await plane.until("all ready", async () => (await pods()).filter(isReady).length === 4);
    await plane.admin.delete(ReplicaSet, { namespace, name: "left" }, { propagationPolicy: "Orphan" });
    await plane.until("the first is gone", () => isGone(plane.admin.get(ReplicaSet, { namespace, name: "left" })));
    const left = await of("left");
    expect(left.map((pod) => pod.metadata.ownerReferences)).toEqual([undefined, undefined]);

    const [one] = await of("waited");
    const held = { namespace, name: one?.metadata.name ?? "" };
    await plane.admin.patch(Pod, held, "merge", { metadata: { finalizers: ["example.com/hold"] } });
    await plane.admin.delete(ReplicaSet, { namespace, name: "waited" }, { propagationPolicy: "Foreground" });
    await plane.until("one pod is left, held", async () => (await of("waited")).length === 1);
    const owner = await plane.admin.get(ReplicaSet, { namespace, name: "waited" });
    expect(owner.metadata.finalizers).toEqual(["foregroundDeletion"]);
    await plane.admin.patch(Pod, held, "merge", { metadata: { finalizers: null } });
    await plane.until("the second is gone", () => isGone(plane.admin.get(ReplicaSet, { namespace, name: "waited" })));
  });

  it("Endpoints written by hand are shown as slices, and go with their service", async () => {
    await plane.admin.create(Service, { metadata: { name: "db", namespace }, spec: { ports: [{ port: 5432 }] } });
    const subsets = [{ addresses: [{ ip: "192.0.2.1" }], ports: [{ port: 5432 }] }];
    await plane.admin.create(Endpoints, { metadata: { name: "db", namespace }, subsets });
    const addresses = async (): Promise<string> =>
      (await plane.admin.list(EndpointSlice, { namespace, labelSelector: "kubernetes.io/service-name=db" })).items
        .flatMap((slice) => slice.endpoints.flatMap((each) => each.addresses))
        .join();
    await plane.until("mirrored", async () => (await addresses()) === "192.0.2.1");
    await plane.admin.patch(Endpoints, { namespace, name: "db" }, "merge", {
      subsets: [{ ...subsets[0], addresses: [{ ip: "192.0.2.7" }] }],
    });
    await plane.until("changed", async () => (await addresses()) === "192.0.2.7");
    await plane.admin.delete(Service, { namespace, name: "db" });
    await plane.until("gone", async () => (await addresses()) === "");
  });

  it("an eviction waits until its budget allows it", async () => {
    await plane.admin.create(ReplicaSet, {
      metadata: { name: "web", namespace },
      spec: { replicas: 2, selector: { matchLabels: labels }, template: template("web:1") },
    });
    await plane.admin.create(PodDisruptionBudget, {
      metadata: { name: "web", namespace },
      spec: { minAvailable: 2, selector: { matchLabels: labels } },
    });
    const allowed = async (count: number): Promise<boolean> =>
      (await plane.admin.get(PodDisruptionBudget, { namespace, name: "web" })).status?.disruptionsAllowed === count;
    await plane.until(
      "the budget is known",
      async () => (await pods()).filter(isReady).length === 2 && (await allowed(0)),
    );
    const [first] = await pods();
    const key = { namespace, name: first?.metadata.name ?? "" };
    const evict = async (): Promise<unknown> =>
      plane.admin.post(Pod, key, "eviction", { apiVersion: "policy/v1", kind: "Eviction", metadata: key });
    await expect(evict()).rejects.toThrow("Cannot evict pod as it would violate the pod's disruption budget.");
    await plane.admin.patch(ReplicaSet, { namespace, name: "web" }, "merge", { spec: { replicas: 3 } });
    await plane.until("one may go", () => allowed(1));
    await evict();
    await plane.until("another took its place", async () => {
      const now = await pods();
      return now.filter(isReady).length === 3 && now.every((pod) => pod.metadata.name !== key.name);
    });
  });

  it("a more important pod takes the place of a less important one", async () => {
    await plane.admin.create(PriorityClass, { metadata: { name: "urgent" }, value: 1000 });
    const big = (name: string, part: Partial<Pod["spec"]> = {}): Pod => ({
      metadata: { name, namespace },
      spec: { containers: [{ name: "c", image: "web:1", resources: { requests: { cpu: "3" } } }], ...part },
    });
    for (const name of ["a", "b"]) await plane.admin.create(Pod, big(name));
    await plane.until("both run", async () => (await pods()).filter(isReady).length === 2);
    await plane.admin.create(Pod, big("c"));
    await plane.until("the third is told why not", async () =>
      (await plane.admin.list(Event, { namespace })).items.some(
        ({ message }) =>
          message ===
          "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
      ),
    );
    await plane.admin.create(Pod, big("now", { priorityClassName: "urgent" }));
    const taken = await plane.until(
      "the urgent one runs",
      async () => {
        const pod = await plane.admin.get(Pod, { namespace, name: "now" });
        return isReady(pod) ? pod : undefined;
      },
      { limitMs: 60_000, stepMs: 200 },
    );
    expect(["n1", "n2"]).toContain(taken.spec.nodeName);
    expect((await pods()).map((pod) => pod.metadata.name)).toHaveLength(3);
    const reasons = (await plane.admin.list(Event, { namespace })).items.map(({ reason }) => reason);
    expect(reasons.filter((reason) => reason === "Preempted")).toHaveLength(1);
  });

  it("a kubelet's client certificate is approved, signed for as long as asked, and cleaned up", async () => {
    const asked = async (name: string, client: TestControlPlane["admin"], signerName: string): Promise<unknown> =>
      client.create(CertificateSigningRequest, {
        metadata: { name },
        spec: {
          request: Buffer.from(NODE_REQUEST).toString("base64"),
          signerName,
          usages: ["digital signature", "client auth"],
          expirationSeconds: 3600,
        },
      });
    await using kubelet = plane.clientOf("system:node:n9", "system:nodes");
    await plane.admin.create(ClusterRoleBinding, {
      metadata: { name: "auto-approve" },
      roleRef: {
        apiGroup: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
      },
      subjects: [{ kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "system:nodes" }],
    });
    await asked("own", kubelet, "kubernetes.io/kube-apiserver-client-kubelet");
    const signed = await plane.until("it is signed", async () => {
      const { status } = await plane.admin.get(CertificateSigningRequest, { name: "own" });
      return status?.certificate === undefined ? undefined : status;
    });
    expect(signed.conditions).toMatchObject([
      {
        type: "Approved",
        reason: "AutoApproved",
        message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
      },
    ]);
    const certificate = new X509Certificate(Buffer.from(signed.certificate ?? "", "base64"));
    expect(certificate.subject).toBe("O=system:nodes\nCN=system:node:n9");
    expect(Date.parse(certificate.validTo)).toBeLessThanOrEqual(plane.clock.now() + 3_600_000);
    // Others wait for a person; and a serving certificate is never approved by itself.
    await asked("others", plane.admin, "example.com/none");
    await plane.until(
      "old requests are deleted",
      async () => (await plane.admin.list(CertificateSigningRequest)).items.length === 1,
      {
        limitMs: 2 * HOUR_MS,
        stepMs: 20_000,
      },
    );
    expect((await plane.admin.list(CertificateSigningRequest)).items.map(({ metadata }) => metadata.name)).toEqual([
      "others",
    ]);
  });

  it("a secret for a service account's token gets one that works until either is gone", async () => {
    await plane.admin.create(ServiceAccount, { metadata: { name: "robot", namespace } });
    await plane.admin.create(Secret, {
      metadata: { name: "robot", namespace, annotations: { "kubernetes.io/service-account.name": "robot" } },
      type: "kubernetes.io/service-account-token",
    });
    const data = await plane.until("it is filled", async () => {
      const secret = await plane.admin.get(Secret, { namespace, name: "robot" });
      return secret.data?.["token"] === undefined ? undefined : secret.data;
    });
    expect(Object.keys(data).toSorted()).toEqual(["ca.crt", "namespace", "token"]);
    await using robot = plane.clientWith(Buffer.from(data["token"] ?? "", "base64").toString());
    const whoAmI = async (): Promise<string | undefined> =>
      (await robot.create(SelfSubjectReview, { metadata: {} })).status?.userInfo?.username;
    expect(await whoAmI()).toBe(`system:serviceaccount:${namespace}:robot`);
    await plane.admin.delete(ServiceAccount, { namespace, name: "robot" });
    await plane.until("the secret is gone", () => isGone(plane.admin.get(Secret, { namespace, name: "robot" })));
    await plane.until(
      "the token is worth nothing",
      async () => {
        try {
          await whoAmI();
          return false;
        } catch (error) {
          return isStatusError(error, "Unauthorized");
        }
      },
      { stepMs: 1000 },
    );
  });

  it("a namespace that is held says by what, and goes when that lets it", async () => {
    await plane.admin.create(Namespace, { metadata: { name: "shop" }, spec: {} });
    await plane.admin.create(ConfigMap, {
      metadata: { name: "held", namespace: "shop", finalizers: ["example.com/hold"] },
    });
    await plane.admin.delete(Namespace, { name: "shop" });
    const conditions = await plane.until("it says so", async () => {
      const { status } = await plane.admin.get(Namespace, { name: "shop" });
      return status?.conditions?.some(
        ({ type, status: holds }) => type === "NamespaceFinalizersRemaining" && holds === "True",
      ) === true
        ? status.conditions
        : undefined;
    });
    expect(conditions.find(({ type }) => type === "NamespaceContentRemaining")?.message).toBe(
      "Some resources are remaining: configmaps. has 1 resource instances",
    );
    await plane.admin.patch(ConfigMap, { namespace: "shop", name: "held" }, "merge", {
      metadata: { finalizers: null },
    });
    await plane.until("it is gone", () => isGone(plane.admin.get(Namespace, { name: "shop" })), { stepMs: 200 });
  });
});

it("of two controller managers one works; when it goes the other follows", async () => {
  await using plane = await createTestControlPlane({ fakeClock: true, components: [] });
  const flags = { ...defaultFlags, controllers: ["serviceaccount-controller"] };
  const stop = new AbortController();
  const manage = (identity: string, signal: AbortSignal): Promise<void> =>
    runControllerManager({
      client: plane.clientOf(identity, "system:masters"),
      flags,
      identity,
      logger: silentLogger,
      signal,
      clock: plane.clock,
      random: createSeededRandom(1),
    });
  const holder = async (): Promise<string | undefined> => {
    const { items } = await plane.admin.list(Lease, { namespace: "kube-system" });
    return items.find(({ metadata }) => metadata.name === "kube-controller-manager")?.spec?.holderIdentity;
  };
  const isServed = async (name: string): Promise<boolean> =>
    (await plane.admin.list(ServiceAccount, { namespace: name })).items.length === 1;
  plane.run("first", (signal) => {
    signal.addEventListener("abort", () => stop.abort(signal.reason));
    return manage("first", stop.signal);
  });
  await plane.until("the first leads", async () => (await holder()) === "first");
  plane.run("second", (signal) => manage("second", signal));
  await plane.admin.create(Namespace, { metadata: { name: "one" }, spec: {} });
  await plane.until("the first works", () => isServed("one"));
  expect(await holder()).toBe("first");
  stop.abort(new DOMException("it goes", "AbortError"));
  await plane.until("the second leads", async () => (await holder()) === "second", { stepMs: 500 });
  await plane.admin.create(Namespace, { metadata: { name: "two" }, spec: {} });
  await plane.until("the second works", () => isServed("two"));
});
