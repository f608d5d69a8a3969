import { CSIDriver } from "@coracle/api/storage/v1";
import { Event, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { createSeededRandom, silentLogger } from "@coracle/base";
import {
  ControllerManagerMetrics,
  parseControllerManagerFlags,
  runControllerManager,
} from "@coracle/kube-controller-manager";
import { expect, it } from "vitest";
import { createTestControlPlane } from "./test-control-plane.ts";

const namespace = "default";

it("pods that share a volume and want it labelled differently are told of each other", async () => {
  await using plane = await createTestControlPlane({ components: [] });
  const { admin } = plane;
  const metrics = new ControllerManagerMetrics(plane.clock);
  plane.run("controllers", async (signal) =>
    runControllerManager({
      client: plane.clientOf("system:kube-controller-manager", "system:masters"),
      clock: plane.clock,
      random: createSeededRandom(2),
      logger: silentLogger,
      signal,
      freeze: true,
      metrics,
      flags: parseControllerManagerFlags(["--leader-elect=false", "--controllers=selinux-warning-controller"]),
    }),
  );
  await admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
  await admin.create(CSIDriver, { metadata: { name: "d.example.com" }, spec: { seLinuxMount: true } });
  const accessModes = ["ReadWriteMany"];
  const resources = { requests: { storage: "1Gi" } };
  await admin.create(PersistentVolumeClaim, {
    metadata: { name: "c", namespace },
    spec: { accessModes, resources, volumeName: "v", storageClassName: "" },
  });
  const claim = await admin.get(PersistentVolumeClaim, { namespace, name: "c" });
  await admin.create(PersistentVolume, {
    metadata: { name: "v" },
    spec: {
      accessModes,
      capacity: { storage: "1Gi" },
      csi: { driver: "d.example.com", volumeHandle: "h" },
      claimRef: { namespace, name: "c", uid: claim.metadata.uid },
    },
  });
  for (const [name, level] of [
    ["a", "s0:c1"],
    ["b", "s0:c2"],
  ])
    await admin.create(Pod, {
      metadata: { name, namespace },
      spec: {
        securityContext: { seLinuxOptions: { level } },
        containers: [{ name: "c", image: "i", volumeMounts: [{ name: "v", mountPath: "/v" }] }],
        volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }],
      },
    });
  const told = await plane.until("both are told", async () => {
    const events = (await admin.list(Event, { namespace })).items.filter(
      ({ reason }) => reason === "SELinuxLabelConflict",
    );
    return events.length === 2 && events;
  });
  expect(told.map(({ involvedObject }) => involvedObject.name).toSorted()).toEqual(["a", "b"]);
  expect(metrics.text()).toContain(
    'selinux_warning_controller_selinux_volume_conflict{property="SELinuxLabel",pod1_namespace="default",pod1_name="a",',
  );
});
