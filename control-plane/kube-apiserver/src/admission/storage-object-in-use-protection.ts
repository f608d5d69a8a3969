import type { AdmissionPlugin } from "./plugin.ts";

const FINALIZERS: Readonly<Record<string, string>> = {
  persistentvolumeclaims: "kubernetes.io/pvc-protection",
  persistentvolumes: "kubernetes.io/pv-protection",
  volumeattributesclasses: "kubernetes.io/vac-protection",
};

/** New volumes and claims cannot vanish while they are used: the protection controllers take the finalizer off. */
export const storageObjectInUseProtection: AdmissionPlugin = {
  name: "StorageObjectInUseProtection",
  scope: {
    operations: ["CREATE"],
    resources: ["/persistentvolumeclaims", "/persistentvolumes", "storage.k8s.io/volumeattributesclasses"],
  },
  admit({ object, resource }) {
    const finalizer = FINALIZERS[resource];
    if (object === undefined || finalizer === undefined) return;
    const existing = (object.metadata["finalizers"] ?? []) as readonly string[];
    if (!existing.includes(finalizer)) object.metadata["finalizers"] = [...existing, finalizer];
  },
};
