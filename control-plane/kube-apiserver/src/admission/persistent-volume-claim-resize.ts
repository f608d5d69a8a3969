import { compareQuantities, parseQuantity } from "@coracle/apimachinery";
import type { PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { StorageClass } from "@coracle/api/storage/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { refusalOf } from "./refusal.ts";

const CLASSES = { group: "storage.k8s.io", version: "v1", plural: "storageclasses" };

const classOf = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? spec?.storageClassName ?? "";
const sizeOf = ({ spec }: PersistentVolumeClaim): string =>
  (spec?.resources?.requests as Record<string, string> | undefined)?.["storage"] ?? "0";

/** Claims grow when they are bound and their class lets volumes grow. */
export function persistentVolumeClaimResize(objects: RegistryReader): AdmissionPlugin {
  async function isExpandable(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): Promise<boolean> {
    const name = classOf(claim);
    if (name === "" || name !== classOf(old)) return false;
    const found = (await objects.get(CLASSES, "", name)) as unknown as StorageClass | undefined;
    return found?.allowVolumeExpansion === true;
  }
  return {
    name: "PersistentVolumeClaimResize",
    scope: { operations: ["UPDATE"], resources: ["/persistentvolumeclaims"] },
    async validate(attributes) {
      const claim = attributes.object as unknown as PersistentVolumeClaim | undefined;
      const old = attributes.oldObject as unknown as PersistentVolumeClaim | undefined;
      if (claim === undefined || old === undefined) return;
      if (compareQuantities(parseQuantity(sizeOf(claim)), parseQuantity(sizeOf(old))) <= 0) return;
      if (old.status?.phase !== "Bound") {
        throw refusalOf(attributes, "Only bound persistent volume claims can be expanded");
      }
      if (await isExpandable(claim, old)) return;
      throw refusalOf(
        attributes,
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
      );
    },
  };
}
