import { StorageVersion } from "@coracle/api/apiserverinternal/v1alpha1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import { ClusterTrustBundle, PodCertificateRequest } from "@coracle/api/certificates/v1beta1";
import { Lease } from "@coracle/api/coordination/v1";
import {
  Endpoints,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  Service,
  ServiceAccount,
} from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { silentLogger } from "@coracle/base";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane, type TestControlPlaneOptions } from "./test-control-plane.ts";

const namespace = "default";
let plane: TestControlPlane;
const start = async (options: TestControlPlaneOptions = {}): Promise<void> => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true, ...options });
};
afterEach(() => plane[Symbol.asyncDispose]());

const isGone = async (attempt: Promise<unknown>): Promise<boolean> => {
  try {
    await attempt;
    return false;
  } catch (error) {
    return isNotFound(error);
  }
};
const makePod = async (name: string, part: Partial<Pod["spec"]> = {}, labels = {}): Promise<Pod> => {
  const account = { metadata: { name: "any", namespace } };
  await plane.admin.create(ServiceAccount, account).catch(() => undefined);
  const spec = { serviceAccountName: "any", containers: [{ name: "c", image: "c:1" }], ...part };
  return plane.admin.create(Pod, { metadata: { name, namespace, labels }, spec });
};
const say = (name: string, status: Partial<Pod["status"]>): Promise<Pod> =>
  plane.admin.patch(Pod, { namespace, name }, "merge", { status }, { subresource: "status" });
/** One controller alone, with flags of its own. */
const runAlone = (controller: string, flags: Partial<typeof defaultFlags> = {}): void =>
  plane.run(controller, (signal) =>
    runControllerManager({
      client: plane.clientOf("anybody", "system:masters"),
      clock: plane.clock,
      logger: silentLogger,
      signal,
      freeze: true,
      flags: { ...defaultFlags, leaderElect: false, controllers: [controller], ...flags },
    }),
  );

it(
  "a CronJob runs every noon of a month in which the clocks change, and keeps its history short",
  { timeout: 240_000 },
  async () => {
    await start({ components: [], startsAt: Date.parse("2026-03-15T00:00:00Z") });
    runAlone("cronjob-controller");
    const template = { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "c:1" }] } };
    await plane.admin.create(CronJob, {
      metadata: { name: "noon", namespace },
      spec: { schedule: "0 12 * * *", timeZone: "Europe/Berlin", jobTemplate: { spec: { template } } },
    });
    const seen = new Set<string>();
    let most = 0;
    /** Every Job is done at once. */
    async function finishJobs(): Promise<boolean> {
      const { items } = await plane.admin.list(Job, { namespace });
      most = Math.max(most, items.length);
      for (const { metadata, status } of items) {
        seen.add(metadata.annotations?.["batch.kubernetes.io/cronjob-scheduled-timestamp"] ?? "");
        if (status?.completionTime !== undefined) continue;
        const now = new Date(plane.clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
        const conditions = ["SuccessCriteriaMet", "Complete"].map((type) => ({
          type,
          status: "True",
          reason: "CompletionsReached",
          lastProbeTime: now,
          lastTransitionTime: now,
        }));
        const done = { startTime: now, completionTime: now, succeeded: 1, conditions };
        const key = { namespace, name: metadata.name ?? "" };
        await plane.admin.patch(Job, key, "merge", { status: done }, { subresource: "status" });
      }
      return seen.size === 31;
    }
    await plane.until("it ran on 31 days", finishJobs, { limitMs: 32 * 86_400_000, stepMs: 7_200_000 });
    const times = [...seen].toSorted();
    expect(times[0]).toBe("2026-03-15T12:00:00+01:00");
    expect(times.filter((time) => time.endsWith("T12:00:00+01:00"))).toHaveLength(14);
    expect(times.filter((time) => time.endsWith("T12:00:00+02:00"))).toHaveLength(17);
    expect(most).toBeLessThanOrEqual(4);
  },
);

it("Endpoints hold the addresses of a Service's pods, ready and not, and go with it", async () => {
  await start();
  const labels = { app: "web" };
  const ready = (status: string) => [{ type: "Ready", status, lastTransitionTime: "2026-01-01T00:00:00Z" }];
  for (const [name, ip, status] of [
    ["one", "10.1.0.1", "True"],
    ["two", "10.1.0.2", "False"],
  ] as const) {
    await makePod(name, { nodeName: "elsewhere" }, labels);
    await say(name, { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: ready(status) });
  }
  await plane.admin.create(Service, {
    metadata: { name: "web", namespace },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  });
  const read = () => plane.admin.get(Endpoints, { namespace, name: "web" });
  const subset = await plane.until("both are told", async () => {
    const [found] = (await read()).subsets ?? [];
    return found?.addresses !== undefined && found.notReadyAddresses !== undefined ? found : undefined;
  });
  expect(subset.addresses?.map(({ ip, targetRef }) => [ip, targetRef?.name])).toEqual([["10.1.0.1", "one"]]);
  expect(subset.notReadyAddresses?.map(({ ip }) => ip)).toEqual(["10.1.0.2"]);
  expect(subset.ports).toEqual([{ port: 8080, protocol: "TCP" }]);
  await plane.admin.delete(Pod, { namespace, name: "two" }, { gracePeriodSeconds: 0 });
  await plane.until("one is told", async () => (await read()).subsets?.[0]?.notReadyAddresses === undefined);
  await plane.admin.delete(Service, { namespace, name: "web" });
  await plane.until("none", () => isGone(read()));
});

it("every namespace has an account for its pods, also after somebody deleted it", async () => {
  await start();
  await plane.admin.create(Namespace, { metadata: { name: "shop" }, spec: {} });
  const read = () => plane.admin.get(ServiceAccount, { namespace: "shop", name: "default" });
  const first = await plane.until("it is there", read);
  await plane.admin.delete(ServiceAccount, { namespace: "shop", name: "default" });
  const second = await plane.until("it is there again", async () => {
    const found = await read();
    return found.metadata.uid === first.metadata.uid ? undefined : found;
  });
  expect(second.metadata.name).toBe("default");
});

it("every node gets a range of pod addresses of its own", async () => {
  await start();
  for (const name of ["a", "b", "c"]) await plane.admin.create(Node, { metadata: { name }, spec: {} });
  const ranges = await plane.until("all have one", async () => {
    const { items } = await plane.admin.list(Node);
    const given = items.flatMap(({ spec }) => spec.podCIDR ?? []);
    return given.length === 3 ? given : undefined;
  });
  expect(new Set(ranges).size).toBe(3);
  for (const range of ranges) expect(range).toMatch(/^10\.244\.\d+\.0\/24$/);
});

describe("pods that nobody else removes", () => {
  it("go when their node is gone, after a while, and are told why", async () => {
    await start();
    await makePod("left", { nodeName: "gone", terminationGracePeriodSeconds: 0 });
    const made = plane.clock.now();
    await plane.until("it goes", () => isGone(plane.admin.get(Pod, { namespace, name: "left" })), {
      limitMs: 120_000,
      stepMs: 1000,
    });
    expect(plane.clock.now() - made).toBeGreaterThanOrEqual(39_000);
  });

  it("go, the oldest first, when there are too many that have ended", async () => {
    await start({ components: [] });
    runAlone("pod-garbage-collector-controller", { terminatedPodGcThreshold: 2 });
    for (let i = 0; i < 4; i++) {
      await makePod(`ended-${i}`);
      await say(`ended-${i}`, { phase: "Succeeded" });
      await plane.fakeClock?.advance(2000);
    }
    const left = await plane.until("two are left", async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.length === 2 ? items : undefined;
    });
    expect(left.map(({ metadata }) => metadata.name).toSorted()).toEqual(["ended-2", "ended-3"]);
  });
});

it("a claim in use and a volume that is bound stay until nobody has them any more", async () => {
  await start();
  const storage = { storage: "1Gi" };
  const common = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
  await plane.admin.create(PersistentVolume, {
    metadata: { name: "disk" },
    spec: { ...common, capacity: storage, persistentVolumeReclaimPolicy: "Retain", hostPath: { path: "/data/disk" } },
  });
  const claim = { namespace, name: "data" };
  await plane.admin.create(PersistentVolumeClaim, {
    metadata: claim,
    spec: { ...common, resources: { requests: storage } },
  });
  await plane.until(
    "bound",
    async () => (await plane.admin.get(PersistentVolumeClaim, claim)).status?.phase === "Bound",
  );
  await makePod("user", {
    nodeName: "elsewhere",
    volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }],
  });
  await plane.until("protected", async () => {
    const { metadata } = await plane.admin.get(PersistentVolume, { name: "disk" });
    return metadata.finalizers?.includes("kubernetes.io/pv-protection");
  });
  await plane.admin.delete(PersistentVolumeClaim, claim);
  await plane.admin.delete(PersistentVolume, { name: "disk" });
  await plane.fakeClock?.advance(10_000);
  for (const { metadata } of [
    await plane.admin.get(PersistentVolumeClaim, claim),
    await plane.admin.get(PersistentVolume, { name: "disk" }),
  ])
    expect(metadata.deletionTimestamp).toBeDefined();
  await plane.admin.delete(Pod, { namespace, name: "user" }, { gracePeriodSeconds: 0 });
  await plane.until("the claim goes", () => isGone(plane.admin.get(PersistentVolumeClaim, claim)));
  await plane.until("then the volume", () => isGone(plane.admin.get(PersistentVolume, { name: "disk" })));
});

describe("behind gates", () => {
  const gates = {
    featureGates: ["ClusterTrustBundle=true", "PodCertificateRequest=true", "StorageVersionAPI=true"],
    runtimeConfig: ["certificates.k8s.io/v1beta1=true", "internal.apiserver.k8s.io/v1alpha1=true"],
  };

  it("the authority of the API server is published as a bundle, and put right when somebody changes it", async () => {
    await start(gates);
    const [bundle] = await plane.until("it is there", async () => {
      const { items } = await plane.admin.list(ClusterTrustBundle);
      return items.length === 1 ? items : undefined;
    });
    expect(bundle?.metadata.name).toMatch(/^kubernetes\.io:kube-apiserver-serving:[0-9a-f]{24}$/);
    expect(bundle?.spec).toMatchObject({
      signerName: "kubernetes.io/kube-apiserver-serving",
      trustBundle: expect.stringMatching(/^-----BEGIN CERTIFICATE-----/) as string,
    });
    await plane.admin.delete(ClusterTrustBundle, { name: bundle?.metadata.name ?? "" });
    await plane.until("it is back", async () => (await plane.admin.list(ClusterTrustBundle)).items.length === 1);
  });

  it("a pod's request for a certificate goes a quarter of an hour after it was made", async () => {
    await start(gates);
    const spec = { signerName: "example.com/s", podName: "p", maxExpirationSeconds: 3600 };
    const request = { metadata: { name: "r", namespace }, spec } as unknown as PodCertificateRequest;
    await plane.admin.create(PodCertificateRequest, request);
    const made = plane.clock.now();
    const read = () => plane.admin.get(PodCertificateRequest, { namespace, name: "r" });
    await plane.until("it goes", () => isGone(read()), { limitMs: 1_800_000, stepMs: 10_000 });
    expect(plane.clock.now() - made).toBeGreaterThanOrEqual(890_000);
  });

  it("what a server that is gone said of the versions it stores is forgotten", async () => {
    await start(gates);
    const server = (name: string): Lease => ({
      metadata: { name, namespace: "kube-system", labels: { "apiserver.kubernetes.io/identity": "kube-apiserver" } },
      spec: {},
    });
    for (const name of ["here", "gone"]) await plane.admin.create(Lease, server(name));
    const said = (apiServerID: string, encodingVersion: string) => ({
      apiServerID,
      encodingVersion,
      decodableVersions: ["apps/v1", "apps/v1beta1"],
    });
    const name = "apps.deployments";
    const made = await plane.admin.create(StorageVersion, { metadata: { name }, spec: {}, status: {} });
    const storageVersions = [said("here", "apps/v1"), said("gone", "apps/v1beta1")];
    await plane.admin.update(StorageVersion, { ...made, status: { storageVersions } }, { subresource: "status" });
    await plane.admin.delete(Lease, { namespace: "kube-system", name: "gone" });
    const left = await plane.until("one server's word is left", async () => {
      const { status } = await plane.admin.get(StorageVersion, { name });
      return status.storageVersions?.length === 1 ? status : undefined;
    });
    expect(left).toMatchObject({ commonEncodingVersion: "apps/v1", storageVersions: [{ apiServerID: "here" }] });
    await plane.admin.delete(Lease, { namespace: "kube-system", name: "here" });
    await plane.until("nobody's", () => isGone(plane.admin.get(StorageVersion, { name })));
  });
});
