import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";
import type { Lister } from "@coracle/client";
import { expect, it } from "vitest";
import { StorageMonitor } from "./storage-monitor.ts";

const listerOf = <T>(objects: readonly T[]): Lister<T> => ({ list: () => objects }) as unknown as Lister<T>;

it("volumes, claims and what was done with them are counted under upstream's names", async () => {
  const monitor = new StorageMonitor();
  const volume = (phase: string, csi?: { driver: string; volumeHandle: string }): PersistentVolume => ({
    metadata: {},
    spec: { storageClassName: "fast", ...(csi === undefined ? { hostPath: { path: "/x" } } : { csi }) },
    status: { phase },
  });
  const claim: PersistentVolumeClaim = { metadata: { namespace: "ns" }, spec: { storageClassName: "fast" } };
  monitor.watchVolumes(
    listerOf([volume("Bound"), volume("Bound"), volume("Failed", { driver: "d", volumeHandle: "h" })]),
    listerOf([claim, { ...claim, status: { phase: "Bound" } }]),
  );
  const made: ResourceClaim = {
    metadata: { annotations: { "resource.kubernetes.io/pod-claim-name": "gpu" } },
    spec: {},
  };
  monitor.watchResourceClaims(listerOf([made]));
  await monitor.resourceClaimMade(made, Promise.resolve(made));
  const refused = new Error("no");
  await expect(monitor.ephemeralClaimMade(Promise.reject(refused))).rejects.toBe(refused);
  await monitor.classGiven(Promise.resolve());
  monitor.forcedDetach("timeout");
  monitor.evicted(2000);
  const lines = monitor
    .text()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && !line.includes("_bucket"));
  expect(lines).toEqual([
    'pv_collector_total_pv_count{plugin_name="kubernetes.io/host-path",volume_mode="Filesystem"} 2',
    'pv_collector_total_pv_count{plugin_name="kubernetes.io/csi:d",volume_mode="Filesystem"} 1',
    'pv_collector_bound_pv_count{storage_class="fast"} 2',
    'pv_collector_unbound_pv_count{storage_class="fast"} 1',
    'pv_collector_bound_pvc_count{namespace="ns",storage_class="fast",volume_attributes_class=""} 1',
    'pv_collector_unbound_pvc_count{namespace="ns",storage_class="fast",volume_attributes_class=""} 1',
    "retroactive_storageclass_total 1",
    "retroactive_storageclass_errors_total 0",
    "ephemeral_volume_controller_create_total 1",
    "ephemeral_volume_controller_create_failures_total 1",
    'attach_detach_controller_attachdetach_controller_forced_detaches{reason="timeout"} 1',
    'resourceclaim_controller_creates_total{status="success",admin_access="false"} 1',
    'resourceclaim_controller_resource_claims{allocated="false",admin_access="false",source="resource_claim_template"} 1',
    "device_taint_eviction_controller_pod_deletions_total 1",
    "device_taint_eviction_controller_pod_deletion_duration_seconds_sum 2",
    "device_taint_eviction_controller_pod_deletion_duration_seconds_count 1",
  ]);
});
