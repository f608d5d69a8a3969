import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { AdmissionPlugin } from "./plugin.ts";

const STORAGE_CLASSES: ResourceRef = { group: "storage.k8s.io", version: "v1", plural: "storageclasses" };
const INGRESS_CLASSES: ResourceRef = { group: "networking.k8s.io", version: "v1", plural: "ingressclasses" };
const OLD_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class";

const annotationsOf = (object: { readonly metadata: object }): Readonly<Record<string, string>> =>
  ((object.metadata as Record<string, unknown>)["annotations"] ?? {}) as Record<string, string>;

const createdAt = (object: ApiObject): number => Date.parse(object.metadata["creationTimestamp"] as string);
const byAgeThenName = (a: ApiObject, b: ApiObject): number =>
  createdAt(b) - createdAt(a) || ((a.metadata["name"] as string) < (b.metadata["name"] as string) ? -1 : 1);

/** Claims without a class get the cluster's default class; of several the newest. */
export function defaultStorageClass(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "DefaultStorageClass",
    scope: { operations: ["CREATE"], resources: ["/persistentvolumeclaims"] },
    async admit({ object }) {
      const spec = object?.["spec"] as { storageClassName?: string | null } | undefined;
      if (object === undefined || spec === undefined) return;
      if (spec.storageClassName !== undefined && spec.storageClassName !== null) return;
      if (annotationsOf(object)[OLD_CLASS_ANNOTATION] !== undefined) return;
      const defaults = (await objects.list(STORAGE_CLASSES)).filter(
        (one) =>
          annotationsOf(one)["storageclass.kubernetes.io/is-default-class"] === "true" ||
          annotationsOf(one)["storageclass.beta.kubernetes.io/is-default-class"] === "true",
      );
      const chosen = defaults.toSorted(byAgeThenName)[0];
      if (chosen !== undefined) spec.storageClassName = chosen.metadata["name"] as string;
    },
  };
}

/** Ingresses without a class get the cluster's default class. */
export function defaultIngressClass(objects: RegistryReader): AdmissionPlugin {
  return {
    name: "DefaultIngressClass",
    scope: { operations: ["CREATE"], resources: ["networking.k8s.io/ingresses"] },
    async admit({ object }) {
      const spec = object?.["spec"] as { ingressClassName?: string | null } | undefined;
      if (object === undefined || spec === undefined) return;
      if (spec.ingressClassName !== undefined && spec.ingressClassName !== null) return;
      if (annotationsOf(object)["kubernetes.io/ingress.class"] !== undefined) return;
      const defaults = (await objects.list(INGRESS_CLASSES)).filter(
        (one) => annotationsOf(one)["ingressclass.kubernetes.io/is-default-class"] === "true",
      );
      const chosen = defaults.toSorted(byAgeThenName)[0];
      if (chosen === undefined) return;
      spec.ingressClassName = chosen.metadata["name"] as string;
    },
  };
}
