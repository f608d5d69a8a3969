import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { StorageClass } from "@coracle/api/storage/v1";
import { describe, expect, it } from "vitest";
import { defaultClass, planClaim, type ClaimPlan, type ClaimView } from "./plan-claim.ts";

type Annotations = Readonly<Record<string, string>>;
const claim = (
  spec: Partial<PersistentVolumeClaim["spec"]> = {},
  annotations: Annotations = {},
): PersistentVolumeClaim => ({
  metadata: { namespace: "ns", name: "data", uid: "u1", annotations },
  spec: {
    accessModes: ["ReadWriteOnce"],
    storageClassName: "",
    resources: { requests: { storage: "2Gi" } },
    ...spec,
  },
});
const volume = (name: string, spec: Partial<PersistentVolume["spec"]> = {}, phase = "Available"): PersistentVolume => ({
  metadata: { name },
  spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "5Gi" }, ...spec },
  status: { phase },
});
const storageClass = (name: string, more: Partial<StorageClass> = {}): StorageClass => ({
  metadata: { name },
  provisioner: "disks.example.com",
  ...more,
});
const view = (
  volumes: readonly PersistentVolume[],
  classes: readonly StorageClass[] = [],
  pods: readonly string[] = [],
): ClaimView => ({
  volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
  volumesFor: () => volumes,
  storageClass: (name) => classes.find(({ metadata }) => metadata.name === name),
  storageClasses: () => classes,
  unplacedPods: () => pods,
});
/** In short: what is done, and to or about what. */
function short(plan: ClaimPlan): string {
  switch (plan.action) {
    case "bind":
      return `bind ${plan.volume.metadata.name}`;
    case "give-class":
      return `give-class ${plan.className}`;
    case "provision":
      return `provision ${plan.provisioner}`;
    case "wait":
      return plan.told === undefined ? "wait" : `wait: ${plan.told.reason}: ${plan.told.message}`;
    default:
      return `${plan.action}: ${plan.told.reason}: ${plan.told.message}`;
  }
}

describe("a claim that takes any volume", () => {
  const none = "wait: FailedBinding: no persistent volumes available for this claim and no storage class is set";
  const ref = { namespace: "ns", name: "data" };
  it.each<[string, string, PersistentVolume[], Partial<PersistentVolumeClaim["spec"]>]>([
    [
      "gets the smallest that is large enough",
      "bind b",
      [volume("a"), volume("b", { capacity: { storage: "3Gi" } }), volume("c", { capacity: { storage: "1Gi" } })],
      {},
    ],
    ["gets one of its size", "bind a", [volume("a", { capacity: { storage: "2048Mi" } })], {}],
    ["gets none that is not free", none, [volume("a", {}, "Released"), volume("b", {}, "Pending")], {}],
    ["gets none of another class", none, [volume("a", { storageClassName: "fast" })], {}],
    ["gets none of another kind", none, [volume("a", { volumeMode: "Block" })], {}],
    ["gets none with other attributes", none, [volume("a", { volumeAttributesClassName: "gold" })], {}],
    ["gets none that another names", none, [volume("a", { claimRef: { namespace: "ns", name: "other" } })], {}],
    ["gets none of a former claim of its name", none, [volume("a", { claimRef: { ...ref, uid: "u0" } })], {}],
    [
      "gets the one that names it, whatever its phase and class",
      "bind b",
      [volume("a"), volume("b", { claimRef: ref, storageClassName: "x" }, "Pending")],
      {},
    ],
    [
      "gets the one made for it",
      "bind b",
      [volume("a"), volume("b", { claimRef: { ...ref, uid: "u1" } }, "Bound")],
      {},
    ],
    [
      "gets one with the modes it wants",
      "bind b",
      [volume("a"), volume("b", { accessModes: ["ReadOnlyMany", "ReadWriteOnce"] })],
      { accessModes: ["ReadOnlyMany"] },
    ],
    [
      "gets the one with the fewest modes, be it larger",
      "bind a",
      [volume("a"), volume("b", { accessModes: ["ReadWriteOnce", "ReadWriteMany"], capacity: { storage: "2Gi" } })],
      {},
    ],
    [
      "gets none that is being deleted",
      none,
      [{ ...volume("a"), metadata: { name: "a", deletionTimestamp: "2026-01-01T00:00:00Z" } }],
      {},
    ],
    ["gets none whose labels it does not want", none, [volume("a")], { selector: { matchLabels: { disk: "ssd" } } }],
    [
      "gets the one whose labels it wants",
      "bind b",
      [volume("a"), { ...volume("b"), metadata: { name: "b", labels: { disk: "ssd" } } }],
      { selector: { matchLabels: { disk: "ssd" } } },
    ],
  ])("%s", (_rule, expected, volumes, spec) => expect(short(planClaim(claim(spec), view(volumes)))).toBe(expected));
});

describe("a claim of a class", () => {
  const selected = { "volume.kubernetes.io/selected-node": "a" };
  const later = storageClass("later", { volumeBindingMode: "WaitForFirstConsumer" });
  const failed = (message: string): string => `complain: ProvisioningFailed: ${message}`;
  it.each<[string, string, StorageClass | undefined, Annotations, readonly string[]]>([
    ["that is not there", failed('storageclass.storage.k8s.io "c" not found'), undefined, {}, []],
    ["asks its provisioner", "provision disks.example.com", storageClass("c"), {}, []],
    [
      "asks the driver that took over",
      "provision ebs.csi.aws.com",
      storageClass("c", { provisioner: "kubernetes.io/aws-ebs" }),
      {},
      [],
    ],
    [
      "that makes none",
      failed("no volume plugin matched name: kubernetes.io/no-provisioner"),
      storageClass("c", { provisioner: "kubernetes.io/no-provisioner" }),
      {},
      [],
    ],
    [
      "of a built-in kind that makes none",
      failed("no provisionable volume plugin matched"),
      storageClass("c", { provisioner: "kubernetes.io/nfs" }),
      {},
      [],
    ],
    [
      "waits for a pod",
      "wait: WaitForFirstConsumer: waiting for first consumer to be created before binding",
      { ...later, metadata: { name: "c" } },
      {},
      [],
    ],
    [
      "waits for its pod",
      "wait: WaitForPodScheduled: waiting for pod a to be scheduled",
      { ...later, metadata: { name: "c" } },
      {},
      ["a"],
    ],
    [
      "waits for its pods",
      "wait: WaitForPodScheduled: waiting for pods a,b to be scheduled",
      { ...later, metadata: { name: "c" } },
      {},
      ["a", "b"],
    ],
    [
      "asks once a node is selected",
      "provision disks.example.com",
      { ...later, metadata: { name: "c" } },
      selected,
      ["a"],
    ],
  ])("%s", (_rule, expected, found, annotations, pods) => {
    const classes = found === undefined ? [] : [found];
    expect(short(planClaim(claim({ storageClassName: "c" }, annotations), view([], classes, pods)))).toBe(expected);
  });

  it("whose volumes the scheduler gives takes none by itself but the one that names it", () => {
    const free = volume("free", { storageClassName: "later" });
    const meant = volume("meant", { storageClassName: "later", claimRef: { namespace: "ns", name: "data" } });
    const waiting = claim({ storageClassName: "later" });
    expect(short(planClaim(waiting, view([free], [later])))).toMatch(/^wait: WaitForFirstConsumer/);
    expect(short(planClaim(waiting, view([free, meant], [later])))).toBe("bind meant");
  });

  it("gets the default one when it asks for none, not when it asks for no class", () => {
    const usual = storageClass("usual", {
      metadata: { name: "usual", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    });
    expect(short(planClaim(claim({ storageClassName: undefined }), view([], [usual])))).toBe("give-class usual");
    expect(short(planClaim(claim(), view([], [usual])))).toMatch(/^wait: FailedBinding/);
  });
});

describe("the default class", () => {
  const marked = (name: string, creationTimestamp: string): StorageClass =>
    storageClass(name, {
      metadata: { name, creationTimestamp, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    });
  it("is the newest of those marked, then the first by name", () => {
    const [old, b, a] = [
      marked("z", "2025-01-01T00:00:00Z"),
      marked("b", "2026-01-01T00:00:00Z"),
      marked("a", "2026-01-01T00:00:00Z"),
    ];
    expect(defaultClass([old, b, a, storageClass("plain")])?.metadata.name).toBe("a");
    expect(defaultClass([storageClass("plain")])).toBeUndefined();
  });
});

describe("a claim that names its volume", () => {
  const mismatch = (problem: string): string => `wait: VolumeMismatch: Cannot bind to requested volume "a": ${problem}`;
  const taken = volume("a", { claimRef: { namespace: "ns", name: "other" } });
  const byUs = { "pv.kubernetes.io/bound-by-controller": "yes" };
  const told = 'FailedBinding: volume "a" already bound to a different claim.';
  it.each<[string, string, PersistentVolume[], Annotations]>([
    ["waits until that is there", "wait", [], {}],
    ["gets it", "bind a", [volume("a", {}, "Pending")], {}],
    ["gets what is reserved for it", "bind a", [volume("a", { claimRef: { namespace: "ns", name: "data" } })], {}],
    [
      "does not get a small one",
      mismatch("requested PV is too small"),
      [volume("a", { capacity: { storage: "1Gi" } })],
      {},
    ],
    [
      "does not get one of a class",
      mismatch("storageClassName does not match"),
      [volume("a", { storageClassName: "x" })],
      {},
    ],
    [
      "does not get one with attributes",
      mismatch("volumeAttributesClassName does not match"),
      [volume("a", { volumeAttributesClassName: "x" })],
      {},
    ],
    ["does not get a device", mismatch("incompatible volumeMode"), [volume("a", { volumeMode: "Block" })], {}],
    [
      "does not get other modes",
      mismatch("incompatible accessMode"),
      [volume("a", { accessModes: ["ReadOnlyMany"] })],
      {},
    ],
    ["does not get another's", `wait: ${told}`, [taken], {}],
    ["does not get another's, nor is it changed when it was bound before", `complain: ${told}`, [taken], byUs],
  ])("%s", (_rule, expected, volumes, annotations) =>
    expect(short(planClaim(claim({ volumeName: "a" }, annotations), view(volumes)))).toBe(expected),
  );
});

describe("a claim that was bound", () => {
  const bound = { "pv.kubernetes.io/bind-completed": "yes" };
  const ref = { namespace: "ns", name: "data" };
  it.each<[string, string, string | undefined, PersistentVolume[]]>([
    ["stays so", "bind a", "a", [volume("a", { claimRef: { ...ref, uid: "u1" } })]],
    ["is bound again to a volume that forgot it", "bind a", "a", [volume("a")]],
    [
      "is lost without its name",
      "lose: ClaimLost: Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
      undefined,
      [],
    ],
    [
      "is lost without its volume",
      "lose: ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
      "a",
      [],
    ],
    [
      "is lost when the volume is another's",
      "lose: ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly",
      "a",
      [volume("a", { claimRef: { ...ref, uid: "u2" } })],
    ],
  ])("%s", (_rule, expected, volumeName, volumes) =>
    expect(short(planClaim(claim({ volumeName }, bound), view(volumes)))).toBe(expected),
  );
});
