import type { Volume } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { inlineVolumeOf, reachedByNode } from "./inline-volume.ts";

const volume = (source: Partial<Volume>): Volume => ({ name: "v", ...source });

describe("a volume that a pod names itself", () => {
  it.each<[string, Partial<Volume>, ReturnType<typeof inlineVolumeOf>]>([
    [
      "a disk of Google's",
      { gcePersistentDisk: { pdName: "d", readOnly: true, partition: 2 } },
      {
        name: "pd.csi.storage.gke.io-d",
        driver: "pd.csi.storage.gke.io",
        handle: "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d",
        spec: {
          csi: {
            driver: "pd.csi.storage.gke.io",
            volumeHandle: "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d",
            readOnly: true,
            volumeAttributes: { partition: "2" },
          },
          accessModes: ["ReadOnlyMany"],
          volumeMode: "Filesystem",
        },
      },
    ],
    [
      "one of Amazon's",
      { awsElasticBlockStore: { volumeID: "aws://zone/vol-1", fsType: "ext4" } },
      {
        name: "ebs.csi.aws.com-vol-1",
        driver: "ebs.csi.aws.com",
        handle: "vol-1",
        spec: {
          csi: {
            driver: "ebs.csi.aws.com",
            volumeHandle: "vol-1",
            fsType: "ext4",
            volumeAttributes: { partition: "0" },
          },
          accessModes: ["ReadWriteOnce"],
        },
      },
    ],
    [
      "one of Microsoft's",
      { azureDisk: { diskName: "d", diskURI: "/disks/d", kind: "Managed", cachingMode: "None" } },
      {
        name: "/disks/d",
        driver: "disk.csi.azure.com",
        handle: "/disks/d",
        spec: {
          csi: {
            driver: "disk.csi.azure.com",
            volumeHandle: "/disks/d",
            volumeAttributes: { kind: "managed", cachingMode: "None" },
          },
          accessModes: ["ReadWriteOnce"],
        },
      },
    ],
    [
      "an unmanaged one of Microsoft's: by nobody",
      { azureDisk: { diskName: "d", diskURI: "d", kind: "Dedicated" } },
      undefined,
    ],
    ["a folder: by nobody", { emptyDir: {} }, undefined],
  ])("is told to its driver: %s", (_what, source, expected) => {
    expect(inlineVolumeOf(volume(source))).toEqual(expected);
  });

  it.each<[Partial<Volume>, string | undefined]>([
    [{ iscsi: { targetPortal: "192.0.2.1:3260", iqn: "iqn.x", lun: 0 } }, "kubernetes.io/iscsi/192.0.2.1:3260:iqn.x:0"],
    [{ fc: { targetWWNs: ["a", "b"], lun: 2 } }, "kubernetes.io/fc/[a b]:2"],
    [{ fc: { wwids: ["w"] } }, "kubernetes.io/fc/[w]"],
    [{ emptyDir: {} }, undefined],
  ])("is reached by the node itself: %j", (source, expected) => {
    expect(reachedByNode(volume(source))).toBe(expected);
  });
});
