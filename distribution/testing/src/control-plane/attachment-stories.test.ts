import {
  Event,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ServiceAccount,
  type Volume,
} from "@coracle/api/core/v1";
import { CSIDriver, VolumeAttachment } from "@coracle/api/storage/v1";
import { silentLogger } from "@coracle/base";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const UNIQUE = "kubernetes.io/csi/disks.example.com^disk-7";
let plane: TestControlPlane;

beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true });
  await plane.admin.create(ServiceAccount, { metadata: { name: "any", namespace } });
  for (const name of ["a", "b"]) await makeNode(name);
  await plane.admin.create(PersistentVolume, {
    metadata: { name: "disk" },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      storageClassName: "",
      csi: { driver: "disks.example.com", volumeHandle: "disk-7" },
    },
  });
  await plane.admin.create(PersistentVolumeClaim, {
    metadata: { name: "data", namespace },
    spec: { accessModes: ["ReadWriteOnce"], storageClassName: "", resources: { requests: { storage: "1Gi" } } },
  });
  await plane.until("bound", async () => {
    const { status } = await plane.admin.get(PersistentVolumeClaim, { namespace, name: "data" });
    return status?.phase === "Bound";
  });
});
afterEach(() => plane[Symbol.asyncDispose]());

async function makeNode(name: string): Promise<void> {
  const conditions = [{ type: "Ready", status: "True", reason: "KubeletReady" }];
  const annotations = { "volumes.kubernetes.io/controller-managed-attach-detach": "true" };
  await plane.admin.create(Node, { metadata: { name, annotations }, spec: {}, status: { conditions } });
}
const makePod = (name: string, nodeName: string): Promise<Pod> =>
  plane.admin.create(Pod, {
    metadata: { name, namespace },
    spec: {
      nodeName,
      serviceAccountName: "any",
      containers: [{ name: "c", image: "c:1" }],
      tolerations: [{ operator: "Exists" }],
      volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
    },
  });
const removePod = (name: string): Promise<void> =>
  plane.admin.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0 });
const attachments = async (): Promise<readonly VolumeAttachment[]> => (await plane.admin.list(VolumeAttachment)).items;
const attachmentTo = (nodeName: string): Promise<VolumeAttachment> =>
  plane.until(`an attachment to ${nodeName}`, async () =>
    (await attachments()).find(({ spec }) => spec.nodeName === nodeName),
  );
/** What the driver's attacher says. */
const say = (name: string | undefined, status: Partial<VolumeAttachment["status"]>): Promise<VolumeAttachment> =>
  plane.admin.patch(VolumeAttachment, { name: name ?? "" }, "merge", { status }, { subresource: "status" });
/** What the kubelet says. */
const sayInUse = (nodeName: string, volumesInUse: string[] | null): Promise<Node> =>
  plane.admin.patch(Node, { name: nodeName }, "merge", { status: { volumesInUse } }, { subresource: "status" });
const told = async (nodeName: string): Promise<readonly string[]> => {
  const { status } = await plane.admin.get(Node, { name: nodeName });
  return (status?.volumesAttached ?? []).map(({ name }) => name);
};
const isAttachedTo = (nodeName: string): Promise<unknown> =>
  plane.until(`told as attached to ${nodeName}`, async () => (await told(nodeName)).includes(UNIQUE));
const isTold = (reason: string, text: string): Promise<Event> =>
  plane.until(text, async () => {
    const { items } = await plane.admin.list(Event);
    return items.find((event) => event.reason === reason && event.message?.includes(text));
  });

async function runOn(nodeName: string): Promise<void> {
  await makePod("user", nodeName);
  const { metadata, spec } = await attachmentTo(nodeName);
  expect(metadata.name).toMatch(/^csi-[0-9a-f]{64}$/);
  expect(spec).toEqual({ attacher: "disks.example.com", nodeName, source: { persistentVolumeName: "disk" } });
  expect(await told(nodeName)).toEqual([]);
  await say(metadata.name, { attached: true });
  await isAttachedTo(nodeName);
  await sayInUse(nodeName, [UNIQUE]);
}

describe("a volume", () => {
  it("is attached where its pod is, and detached when the node does not use it any more", async () => {
    await runOn("a");
    const event = await isTold("SuccessfulAttachVolume", "");
    expect(event.message).toBe('AttachVolume.Attach succeeded for volume "disk" ');
    expect(event.source?.component).toBe("attachdetach-controller");
    await removePod("user");
    await makePod("next", "b");
    await isTold("FailedAttachVolume", 'Multi-Attach error for volume "disk" Volume is already exclusively attached');
    expect(await attachments()).toHaveLength(1);
    await sayInUse("a", null);
    const moved = await attachmentTo("b");
    expect(await attachments()).toHaveLength(1);
    expect(await told("a")).toEqual([]);
    await say(moved.metadata.name, { attached: true });
    await isAttachedTo("b");
  });

  it("is not attached twice, and users hear why", async () => {
    await runOn("a");
    await makePod("other", "b");
    await isTold("FailedAttachVolume", 'Multi-Attach error for volume "disk" Volume is already used by pod(s) user');
    expect(await attachments()).toHaveLength(1);
  });

  it("that cannot be attached is told of, also when nobody answers", async () => {
    await makePod("user", "a");
    const { metadata } = await attachmentTo("a");
    await plane.until(
      "timed out",
      async () =>
        (await plane.admin.list(Event)).items.some(({ message }) =>
          message?.endsWith(
            "timed out waiting for external-attacher of disks.example.com CSI driver to attach volume disk-7",
          ),
        ),
      { limitMs: 300_000, stepMs: 1000 },
    );
    await say(metadata.name, { attachError: { message: "no room", time: "2026-01-01T00:00:00Z" } });
    await isTold("FailedAttachVolume", 'AttachVolume.Attach failed for volume "disk" : no room');
  });

  it("is attached again when somebody took its attachment away", async () => {
    await runOn("a");
    const first = await attachmentTo("a");
    await plane.admin.delete(VolumeAttachment, { name: first.metadata.name ?? "" });
    await plane.until("another", async () =>
      (await attachments()).some(({ metadata }) => metadata.uid !== first.metadata.uid),
    );
  });

  it("that a former controller left attached for nobody is detached", async () => {
    const name = "csi-left-behind";
    const spec = { attacher: "disks.example.com", nodeName: "b", source: { persistentVolumeName: "disk" } };
    await plane.admin.create(VolumeAttachment, { metadata: { name }, spec });
    await say(name, { attached: true });
    plane.run("its successor", (signal) =>
      runControllerManager({
        client: plane.clientOf("anybody", "system:masters"),
        clock: plane.clock,
        logger: silentLogger,
        signal,
        freeze: true,
        flags: { ...defaultFlags, leaderElect: false, controllers: ["persistentvolume-attach-detach-controller"] },
      }),
    );
    await plane.until("detached", async () => (await attachments()).length === 0);
  });

  it("of a driver that attaches nothing is left alone, as are attachments of others", async () => {
    await plane.admin.create(CSIDriver, { metadata: { name: "disks.example.com" }, spec: { attachRequired: false } });
    const foreign = {
      metadata: { name: "by-hand" },
      spec: { attacher: "disks.example.com", nodeName: "b", source: { persistentVolumeName: "disk" } },
    };
    await plane.admin.create(VolumeAttachment, foreign);
    await makePod("user", "a");
    await plane.fakeClock?.advance(600_000);
    await plane.until("seen", async () => (await told("a")).length === 0);
    expect((await attachments()).map(({ metadata }) => metadata.name)).toEqual(["by-hand"]);
  });
});

describe("a node that is not ready and still uses a volume", () => {
  const break_ = async (name: string): Promise<void> => {
    const { status } = await plane.admin.get(Node, { name });
    const conditions = (status?.conditions ?? []).map((each) =>
      each.type === "Ready" ? { ...each, status: "False" } : each,
    );
    await plane.admin.patch(Node, { name }, "merge", { status: { conditions } }, { subresource: "status" });
  };

  it("loses it after six minutes", async () => {
    await runOn("a");
    await break_("a");
    await removePod("user");
    await plane.until("time goes by", async () => (await plane.admin.list(Pod)).items.length === 0);
    await plane.fakeClock?.advance(300_000);
    expect(await attachments()).toHaveLength(1);
    await plane.until("detached", async () => (await attachments()).length === 0, { limitMs: 120_000, stepMs: 500 });
    expect(await told("a")).toEqual([]);
  });

  it("loses it at once when it is out of service", async () => {
    await runOn("a");
    await break_("a");
    await removePod("user");
    const taints = [{ key: "node.kubernetes.io/out-of-service", value: "nodeshutdown", effect: "NoExecute" }];
    await plane.admin.patch(Node, { name: "a" }, "merge", { spec: { taints } });
    await plane.until("detached", async () => (await attachments()).length === 0);
  });
});

describe("a volume that a pod names itself", () => {
  const makePodWith = (volume: Volume): Promise<Pod> =>
    plane.admin.create(Pod, {
      metadata: { name: "user", namespace },
      spec: {
        nodeName: "a",
        serviceAccountName: "any",
        containers: [{ name: "c", image: "c:1" }],
        volumes: [volume],
      },
    });

  it("of a kind that a driver has taken over is attached by that, which is told all of it", async () => {
    await makePodWith({ name: "v", awsElasticBlockStore: { volumeID: "vol-1" } });
    const { metadata, spec } = await attachmentTo("a");
    expect(spec).toMatchObject({
      attacher: "ebs.csi.aws.com",
      nodeName: "a",
      source: { inlineVolumeSpec: { csi: { driver: "ebs.csi.aws.com", volumeHandle: "vol-1" } } },
    });
    await say(metadata.name, { attached: true });
    await plane.until("told", async () => (await told("a")).includes("kubernetes.io/csi/ebs.csi.aws.com^vol-1"));
    await isTold("SuccessfulAttachVolume", 'succeeded for volume "ebs.csi.aws.com-vol-1"');
    await removePod("user");
    await plane.until("detached", async () => (await attachments()).length === 0);
  });

  it("that the node reaches over the network is only told of", async () => {
    const unique = "kubernetes.io/iscsi/192.0.2.1:3260:iqn.2026-01.com.example:a:0";
    const target = { targetPortal: "192.0.2.1:3260", iqn: "iqn.2026-01.com.example:a", lun: 0 };
    await makePodWith({ name: "v", iscsi: target });
    await plane.until("told", async () => (await told("a")).includes(unique));
    await isTold("SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "v"');
    expect(await attachments()).toEqual([]);
    await sayInUse("a", [unique]);
    await removePod("user");
    await plane.fakeClock?.advance(10_000);
    expect(await told("a")).toContain(unique);
    await sayInUse("a", null);
    await plane.until("not any more", async () => (await told("a")).length === 0);
  });
});
