import { Event, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { isNotFound } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const NONE = "";
let plane: TestControlPlane;

beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true });
});
afterEach(() => plane[Symbol.asyncDispose]());

const makeVolume = (
  name: string,
  spec: Partial<PersistentVolume["spec"]> = {},
  annotations: Readonly<Record<string, string>> = {},
): Promise<PersistentVolume> =>
  plane.admin.create(PersistentVolume, {
    metadata: { name, annotations },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      storageClassName: NONE,
      hostPath: { path: `/data/${name}` },
      ...spec,
    },
  });
const makeClaim = (name: string, spec: Partial<PersistentVolumeClaim["spec"]> = {}): Promise<PersistentVolumeClaim> =>
  plane.admin.create(PersistentVolumeClaim, {
    metadata: { name, namespace },
    spec: {
      accessModes: ["ReadWriteOnce"],
      storageClassName: NONE,
      resources: { requests: { storage: "1Gi" } },
      ...spec,
    },
  });
const volume = (name: string): Promise<PersistentVolume> => plane.admin.get(PersistentVolume, { name });
const claim = (name: string): Promise<PersistentVolumeClaim> =>
  plane.admin.get(PersistentVolumeClaim, { namespace, name });
const isIn = (phase: string, attempt: () => Promise<PersistentVolume | PersistentVolumeClaim>): Promise<unknown> =>
  plane.until(phase, async () => (await attempt()).status?.phase === phase);
const isTold = (reason: string): Promise<Event> =>
  plane.until(`event ${reason}`, async () => {
    const { items } = await plane.admin.list(Event);
    return items.find((event) => event.reason === reason);
  });
const makeClass = (name: string, provisioner: string, more: Partial<StorageClass> = {}): Promise<StorageClass> =>
  plane.admin.create(StorageClass, { metadata: { name }, provisioner, ...more });

describe("a claim and a volume", () => {
  it("come together; the volume is kept when the claim goes, and another of that name does not get it", async () => {
    await makeVolume("large", { capacity: { storage: "5Gi" } });
    await makeVolume("small", { capacity: { storage: "2Gi" } });
    await isIn("Available", () => volume("large"));
    await isIn("Available", () => volume("small"));
    await makeClaim("data");
    await isIn("Bound", () => claim("data"));
    const bound = await claim("data");
    expect(bound.spec?.volumeName).toBe("small");
    expect(bound.status).toEqual({ phase: "Bound", accessModes: ["ReadWriteOnce"], capacity: { storage: "2Gi" } });
    expect(bound.metadata.annotations).toEqual({
      "pv.kubernetes.io/bind-completed": "yes",
      "pv.kubernetes.io/bound-by-controller": "yes",
    });
    const taken = await volume("small");
    expect(taken.status?.phase).toBe("Bound");
    expect(taken.spec?.claimRef).toMatchObject({ namespace, name: "data", uid: bound.metadata.uid });

    await plane.admin.delete(PersistentVolumeClaim, { namespace, name: "data" });
    await isIn("Released", () => volume("small"));
    await makeClaim("data");
    await isIn("Bound", () => claim("data"));
    expect((await claim("data")).spec?.volumeName).toBe("large");
    expect((await volume("small")).status?.phase).toBe("Released");
  });

  it("write nothing more once they are together", async () => {
    await makeVolume("pv");
    await makeClaim("data");
    await isIn("Bound", () => claim("data"));
    const before = [(await volume("pv")).metadata.resourceVersion, (await claim("data")).metadata.resourceVersion];
    await plane.fakeClock?.advance(60_000);
    await plane.until("time has gone by", async () => (await plane.admin.list(Pod)).items.length === 0);
    expect([(await volume("pv")).metadata.resourceVersion, (await claim("data")).metadata.resourceVersion]).toEqual(
      before,
    );
  });

  it("meant for each other wait for each other", async () => {
    await makeClaim("mine", { volumeName: "later" });
    await makeVolume("reserved", { claimRef: { namespace, name: "theirs" } });
    await isIn("Available", () => volume("reserved"));
    await makeVolume("later");
    await isIn("Bound", () => claim("mine"));
    await makeClaim("other");
    expect((await isTold("FailedBinding")).message).toBe(
      "no persistent volumes available for this claim and no storage class is set",
    );
    await makeClaim("theirs");
    await isIn("Bound", () => claim("theirs"));
    expect((await claim("theirs")).spec?.volumeName).toBe("reserved");
    expect((await claim("other")).status?.phase).toBe("Pending");
  });

  it("are brought together where somebody stopped half-way, and what was taken twice is free again", async () => {
    const { metadata } = await makeClaim("data", { storageClassName: "nobody-has" });
    const annotations = { "pv.kubernetes.io/bound-by-controller": "yes" };
    const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name: "data", uid: metadata.uid };
    for (const name of ["one", "two"])
      await makeVolume(name, { storageClassName: "nobody-has", claimRef }, annotations);
    await isIn("Bound", () => claim("data"));
    const other = (await claim("data")).spec?.volumeName === "one" ? "two" : "one";
    await isIn("Available", () => volume(other));
    expect((await volume(other)).spec?.claimRef).toBeUndefined();
  });

  it("are parted for good when the volume goes", async () => {
    await makeVolume("pv");
    await makeClaim("data");
    await isIn("Bound", () => claim("data"));
    await plane.admin.delete(PersistentVolume, { name: "pv" });
    await plane.admin.patch(PersistentVolume, { name: "pv" }, "merge", { metadata: { finalizers: null } });
    await isIn("Lost", () => claim("data"));
    expect((await isTold("ClaimLost")).message).toBe(
      "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
    );
    expect((await claim("data")).status).toEqual({ phase: "Lost" });
  });
});

describe("a claim without a volume", () => {
  it("gets the default class once there is one, and its provisioner is asked", async () => {
    await makeClaim("data", { storageClassName: undefined });
    await isTold("FailedBinding");
    await makeClass("usual", "disks.example.com", {
      metadata: { name: "usual", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    });
    const told = await isTold("ExternalProvisioning");
    expect(told.message).toMatch(/^Waiting for a volume to be created either by the external provisioner 'disks\.ex/);
    const asked = await claim("data");
    expect(asked.spec?.storageClassName).toBe("usual");
    expect(asked.metadata.annotations).toEqual({
      "volume.kubernetes.io/storage-provisioner": "disks.example.com",
      "volume.beta.kubernetes.io/storage-provisioner": "disks.example.com",
    });
    const { uid, name } = asked.metadata;
    await plane.admin.create(PersistentVolume, {
      metadata: { name: `pvc-${uid}`, annotations: { "pv.kubernetes.io/provisioned-by": "disks.example.com" } },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        storageClassName: "usual",
        persistentVolumeReclaimPolicy: "Delete",
        claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid },
        csi: { driver: "disks.example.com", volumeHandle: "7" },
      },
    });
    await isIn("Bound", () => claim("data"));
    await isIn("Bound", () => volume(`pvc-${uid}`));
    // Whoever made it takes it back: here it is only told to be free of its claim.
    await plane.admin.delete(PersistentVolumeClaim, { namespace, name: "data" });
    await isIn("Released", () => volume(`pvc-${uid}`));
  });

  it("waits for its pod where the class says so, and says for which", async () => {
    await plane.admin.create(ServiceAccount, { metadata: { name: "late", namespace } });
    await makeClass("later", "disks.example.com", { volumeBindingMode: "WaitForFirstConsumer" });
    await makeVolume("pv", { storageClassName: "later" });
    await makeClaim("data", { storageClassName: "later" });
    expect((await isTold("WaitForFirstConsumer")).message).toBe(
      "waiting for first consumer to be created before binding",
    );
    await plane.admin.create(Pod, {
      metadata: { name: "user", namespace },
      spec: {
        serviceAccountName: "late",
        containers: [{ name: "c", image: "c:1" }],
        volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
      },
    });
    expect((await isTold("WaitForPodScheduled")).message).toBe("waiting for pod user to be scheduled");
    expect((await claim("data")).spec?.volumeName).toBeUndefined();
    await plane.admin.patch(PersistentVolumeClaim, { namespace, name: "data" }, "merge", {
      metadata: { annotations: { "volume.kubernetes.io/selected-node": "somewhere" } },
    });
    await isTold("ExternalProvisioning");
  });
});

describe("a volume whose claim is gone", () => {
  const leave = async (name: string): Promise<void> => {
    await makeClaim("data");
    await isIn("Bound", () => claim("data"));
    expect((await claim("data")).spec?.volumeName).toBe(name);
    await plane.admin.delete(PersistentVolumeClaim, { namespace, name: "data" });
  };

  it("fails when nobody can delete it", async () => {
    await makeVolume("pv", { persistentVolumeReclaimPolicy: "Delete" });
    await leave("pv");
    await isIn("Failed", () => volume("pv"));
    const message = "host_path deleter only supports /tmp/.+ but received provided /data/pv";
    expect((await volume("pv")).status?.message).toBe(message);
    expect((await isTold("VolumeFailedDelete")).message).toBe(message);
  });

  it("goes with what it stood for", async () => {
    await makeVolume("pv", {
      persistentVolumeReclaimPolicy: "Delete",
      hostPath: { path: "/tmp/cor-no-such-volume/data" },
    });
    await leave("pv");
    await plane.until("gone", async () => {
      try {
        await volume("pv");
        return false;
      } catch (error) {
        return isNotFound(error);
      }
    });
  });

  it("is emptied by a pod, and free again", async () => {
    await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } }).catch(() => undefined);
    await makeVolume("pv", { persistentVolumeReclaimPolicy: "Recycle" });
    await leave("pv");
    const key = { namespace, name: "recycler-for-pv" };
    const pod = await plane.until("a recycler runs", () => plane.admin.get(Pod, key));
    expect(pod.spec).toMatchObject({ activeDeadlineSeconds: 60, restartPolicy: "Never" });
    expect(pod.spec.volumes?.[0]).toMatchObject({ name: "vol", hostPath: { path: "/data/pv" } });
    await plane.admin.create(Event, {
      metadata: { name: "pulled", namespace },
      involvedObject: { kind: "Pod", apiVersion: "v1", namespace, name: key.name, uid: pod.metadata.uid },
      reason: "Pulled",
      message: "Container image is already present",
      type: "Normal",
    });
    await plane.admin.patch(Pod, key, "merge", { status: { phase: "Succeeded" } }, { subresource: "status" });
    await isIn("Available", () => volume("pv"));
    expect((await isTold("RecyclerPod")).message).toMatch(/^Recycler pod: /);
    await plane.until("each is told", async () =>
      (await plane.admin.list(Event)).items.some(
        ({ involvedObject, message }) =>
          involvedObject.kind === "PersistentVolume" && message === "Recycler pod: Container image is already present",
      ),
    );
    expect((await volume("pv")).spec?.claimRef).toBeUndefined();
    expect((await isTold("VolumeRecycled")).message).toBe("Volume recycled");
  });
});

describe("a volume that lives with its pod", () => {
  const podWithOwnVolume = (): Promise<Pod> =>
    plane.admin.create(Pod, {
      metadata: { name: "user", namespace },
      spec: {
        serviceAccountName: "any",
        containers: [{ name: "c", image: "c:1" }],
        volumes: [
          {
            name: "scratch",
            ephemeral: {
              volumeClaimTemplate: {
                metadata: { labels: { of: "user" } },
                spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
              },
            },
          },
        ],
      },
    });
  beforeEach(() => plane.admin.create(ServiceAccount, { metadata: { name: "any", namespace } }));

  it("has a claim that the pod owns, made again when somebody deletes it", async () => {
    const pod = await podWithOwnVolume();
    const made = await plane.until("made", () => claim("user-scratch"));
    expect(made.metadata.labels).toEqual({ of: "user" });
    expect(made.metadata.ownerReferences).toEqual([
      {
        apiVersion: "v1",
        kind: "Pod",
        name: "user",
        uid: pod.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    await plane.admin.delete(PersistentVolumeClaim, { namespace, name: "user-scratch" });
    await plane.until("made again", async () => (await claim("user-scratch")).metadata.uid !== made.metadata.uid);
  });

  it("is not had when the name is another's", async () => {
    await makeClaim("user-scratch");
    await podWithOwnVolume();
    const told = await plane.until("told", async () => {
      const { items } = await plane.admin.list(Event);
      return items.find(({ involvedObject, reason }) => involvedObject.kind === "Pod" && reason === "FailedBinding");
    });
    const problem = "PVC default/user-scratch was not created for pod default/user (pod is not owner)";
    expect(told.message).toBe(`ephemeral volume scratch: ${problem}`);
  });
});

describe("a claim that asks for more", () => {
  it("waits for whoever makes the volume larger", async () => {
    await makeClass("growing", "disks.example.com", { allowVolumeExpansion: true });
    await makeVolume("pv", { storageClassName: "growing" });
    await makeClaim("data", { storageClassName: "growing" });
    await isIn("Bound", () => claim("data"));
    const more = { spec: { resources: { requests: { storage: "2Gi" } } } };
    await plane.admin.patch(PersistentVolumeClaim, { namespace, name: "data" }, "merge", more);
    const told = await isTold("ExternalExpanding");
    expect(told.message).toBe("waiting for an external controller to expand this PVC");
    expect(told.source?.component).toBe("volume_expand");
  });

  it("of a kind that was built in once says which driver that is", async () => {
    await makeClass("growing", "kubernetes.io/aws-ebs", { allowVolumeExpansion: true });
    await makeVolume("pv", {
      storageClassName: "growing",
      hostPath: undefined,
      awsElasticBlockStore: { volumeID: "vol-1" },
    });
    await makeClaim("data", { storageClassName: "growing" });
    await isIn("Bound", () => claim("data"));
    const more = { spec: { resources: { requests: { storage: "2Gi" } } } };
    await plane.admin.patch(PersistentVolumeClaim, { namespace, name: "data" }, "merge", more);
    const resizer = await plane.until(
      "resizer",
      async () => (await claim("data")).metadata.annotations?.["volume.kubernetes.io/storage-resizer"],
    );
    expect(resizer).toBe("ebs.csi.aws.com");
  });
});
