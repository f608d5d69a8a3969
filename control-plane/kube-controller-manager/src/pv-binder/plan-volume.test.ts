import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { annealedVolume, boundStatus, claimBoundTo, claimFor, unbound, unboundStatus } from "./bindings.ts";
import { defaultRecycler, planReclaim, planVolume, recyclerPod } from "./plan-volume.ts";

type Annotations = Readonly<Record<string, string>>;
const ref = { namespace: "ns", name: "data", uid: "u1" };
const volume = (spec: Partial<PersistentVolume["spec"]> = {}, annotations: Annotations = {}): PersistentVolume => ({
  metadata: { name: "a", annotations },
  spec: { capacity: { storage: "5Gi" }, accessModes: ["ReadWriteOnce"], claimRef: ref, ...spec },
});
const claim = (spec: Partial<PersistentVolumeClaim["spec"]> = {}): PersistentVolumeClaim => ({
  metadata: { namespace: "ns", name: "data", uid: "u1" },
  spec,
});
const made = { "pv.kubernetes.io/provisioned-by": "disks.example.com" };

describe("a volume", () => {
  it.each<[string, object, PersistentVolume, PersistentVolumeClaim | undefined]>([
    [
      "that nobody claims is free",
      { action: "report", phase: "Available" },
      volume({ claimRef: undefined }),
      undefined,
    ],
    [
      "that is reserved is free",
      { action: "report", phase: "Available" },
      volume({ claimRef: { namespace: "ns", name: "data" } }),
      claim(),
    ],
    ["whose claim is bound to it is bound", { action: "report", phase: "Bound" }, volume(), claim({ volumeName: "a" })],
    ["whose claim is not bound wakes it", { action: "wake-claim" }, volume(), claim()],
    [
      "that is a device is not for a claim that is none",
      { action: "mismatch" },
      volume({ volumeMode: "Block" }),
      claim(),
    ],
    ["whose claim is gone is taken back", { action: "reclaim" }, volume(), undefined],
    ["whose claim is bound elsewhere is free again", { action: "unbind" }, volume(), claim({ volumeName: "b" })],
    [
      "made for a claim that is bound elsewhere goes",
      { action: "reclaim" },
      volume({ persistentVolumeReclaimPolicy: "Delete" }, made),
      claim({ volumeName: "b" }),
    ],
    [
      "made for a claim that is bound elsewhere, and to be kept, is free",
      { action: "unbind" },
      volume({ persistentVolumeReclaimPolicy: "Retain" }, made),
      claim({ volumeName: "b" }),
    ],
  ])("%s", (_rule, expected, found, of) => expect(planVolume(found, of)).toEqual(expected));
});

describe("a volume that is taken back", () => {
  const leave = { action: "leave" };
  const failed = (message: string, reason = "VolumeFailedDelete"): object => ({ action: "fail", reason, message });
  const none = 'error getting deleter volume plugin for volume "a":';
  it.each<[string, object, string, Partial<PersistentVolume["spec"]>, Annotations]>([
    ["is kept", leave, "Retain", {}, {}],
    ["is its driver's to delete", leave, "Delete", { csi: { driver: "d", volumeHandle: "h" } }, {}],
    ["is its maker's to delete", leave, "Delete", { hostPath: { path: "/x" } }, made],
    [
      "is the driver's that took over",
      leave,
      "Recycle",
      { nfs: { server: "s", path: "/" } },
      { "pv.kubernetes.io/migrated-to": "d" },
    ],
    [
      "is deleted below /tmp",
      { action: "delete-path", path: "/tmp/x" },
      "Delete",
      { hostPath: { path: "/tmp/x" } },
      {},
    ],
    [
      "is not deleted elsewhere",
      failed("host_path deleter only supports /tmp/.+ but received provided /x"),
      "Delete",
      { hostPath: { path: "/x" } },
      {},
    ],
    [
      "is not deleted by a way out of /tmp",
      failed("host_path deleter only supports /tmp/.+ but received provided /tmp/../x"),
      "Delete",
      { hostPath: { path: "/tmp/../x" } },
      {},
    ],
    [
      "is of a kind that deletes nothing",
      failed(`${none} no deletable volume plugin matched`),
      "Delete",
      { nfs: { server: "s", path: "/" } },
      {},
    ],
    [
      "is of a kind that nobody knows",
      failed(`${none} no volume plugin matched`),
      "Delete",
      { local: { path: "/x" } },
      {},
    ],
    ["is emptied", { action: "recycle" }, "Recycle", { nfs: { server: "s", path: "/" } }, {}],
    [
      "cannot be emptied",
      failed("No recycler plugin found for the volume!", "VolumeFailedRecycle"),
      "Recycle",
      { local: { path: "/x" } },
      {},
    ],
    [
      "has a policy that nobody knows",
      failed("Volume has unrecognized PersistentVolumeReclaimPolicy", "VolumeUnknownReclaimPolicy"),
      "Burn",
      {},
      {},
    ],
  ])("%s", (_rule, expected, persistentVolumeReclaimPolicy, spec, annotations) =>
    expect(planReclaim(volume({ persistentVolumeReclaimPolicy, ...spec }, annotations))).toEqual(expected),
  );

  it("is emptied by a pod that has time by its size", () => {
    const limits = { minimumSeconds: 60, secondsPerGi: 30 };
    const small = recyclerPod(
      volume({ capacity: { storage: "1Gi" }, hostPath: { path: "/x" } }),
      defaultRecycler,
      limits,
    );
    expect(small.metadata).toEqual({ namespace: "default", name: "recycler-for-a" });
    expect(small.spec.activeDeadlineSeconds).toBe(60);
    expect(small.spec.volumes).toEqual([{ name: "vol", hostPath: { path: "/x" } }]);
    const large = recyclerPod(volume({ nfs: { server: "s", path: "/y" } }), defaultRecycler, limits);
    expect(large.spec.activeDeadlineSeconds).toBe(150);
    expect(large.spec.volumes).toEqual([{ name: "vol", nfs: { server: "s", path: "/y" } }]);
  });
});

describe("a binding", () => {
  it("is marked where nobody had asked for it", () => {
    expect(claimBoundTo(claim(), volume()).metadata.annotations).toEqual({
      "pv.kubernetes.io/bind-completed": "yes",
      "pv.kubernetes.io/bound-by-controller": "yes",
    });
    const asked = claimBoundTo(claim({ volumeName: "a" }), volume());
    expect(asked.metadata.annotations).toEqual({ "pv.kubernetes.io/bind-completed": "yes" });
    expect(claimBoundTo(asked, volume())).toBe(asked);
  });

  it("is undone: free when a controller made it, else reserved for the name", () => {
    const ours = unbound(volume({}, { "pv.kubernetes.io/bound-by-controller": "yes" }));
    expect(ours.spec?.claimRef).toBeUndefined();
    expect(ours.metadata.annotations).toEqual({});
    expect(unbound(volume()).spec?.claimRef).toEqual({ namespace: "ns", name: "data" });
  });

  it("shows the volume's size and modes, and the size of the file system while that is smaller", () => {
    const bound = boundStatus(
      { ...claim(), status: { phase: "Pending" } },
      volume({ volumeAttributesClassName: "gold" }),
    );
    expect(bound.status).toEqual({
      phase: "Bound",
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: "5Gi" },
      currentVolumeAttributesClassName: "gold",
    });
    expect(boundStatus(bound, volume({ capacity: { storage: "9Gi" } }))).toBe(bound);
    const resizing = volume({}, { "volume.alpha.kubernetes.io/pre-resize-capacity": "1Gi" });
    expect(boundStatus(claim(), resizing).status?.capacity).toEqual({ storage: "1Gi" });
    expect(() => boundStatus(claim(), volume({ capacity: {} }))).toThrow(
      'PersistentVolume "a" is without a storage capacity',
    );
  });

  it("leaves nothing behind when it is lost", () => {
    const lost = unboundStatus({ ...claim(), status: { phase: "Bound", capacity: { storage: "1Gi" } } }, "Lost");
    expect(lost.status).toEqual({ phase: "Lost" });
    expect(unboundStatus(lost, "Lost")).toBe(lost);
  });
});

describe("what was built in once", () => {
  it("is told to the driver that took over, by claims and by volumes", () => {
    expect(claimFor(claim(), "disks.example.com").metadata.annotations).toEqual({
      "volume.kubernetes.io/storage-provisioner": "disks.example.com",
      "volume.beta.kubernetes.io/storage-provisioner": "disks.example.com",
    });
    const old = annealedVolume(volume({}, { "pv.kubernetes.io/provisioned-by": "kubernetes.io/gce-pd" }));
    expect(old.metadata.annotations?.["pv.kubernetes.io/migrated-to"]).toBe("pd.csi.storage.gke.io");
    expect(annealedVolume(old)).toBe(old);
  });

  it.each([
    ["holds a volume that it must delete", "Delete", [], ["kubernetes.io/pv-controller"]],
    ["lets go of one that is kept", "Retain", ["kubernetes.io/pv-controller", "x"], ["x"]],
    ["is no external one", "Retain", ["external-provisioner.volume.kubernetes.io/finalizer"], []],
  ])("%s", (_rule, persistentVolumeReclaimPolicy, finalizers, expected) => {
    const found = volume(
      { persistentVolumeReclaimPolicy },
      { "pv.kubernetes.io/provisioned-by": "kubernetes.io/host-path" },
    );
    const mended = annealedVolume({ ...found, metadata: { ...found.metadata, finalizers } });
    expect(mended.metadata.finalizers ?? []).toEqual(expected);
  });
});
