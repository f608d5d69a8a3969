import type { PersistentVolume, Pod, PodSpec } from "@coracle/api/core/v1";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const PODS = core("pods");
const CLAIMS = core("persistentvolumeclaims");
const VOLUMES = core("persistentvolumes");
const ATTACHMENTS: ResourceRef = { group: "storage.k8s.io", version: "v1", plural: "volumeattachments" };
const SLICES: ResourceRef = { group: "resource.k8s.io", version: "v1", plural: "resourceslices" };
const MIRROR = "kubernetes.io/config.mirror";

/** What a pod's spec can mention by name. */
export type MentionedKind = "secrets" | "configmaps" | "persistentvolumeclaims" | "resourceclaims" | "serviceaccounts";

/** Everything that leads from a node to an object, so that the node may read it. */
export interface NodeGraph {
  isPodOnNode(node: string, namespace: string, name: string): Promise<boolean>;
  /** Whether a pod bound to the node mentions the object, or for secrets, a volume that such a pod claims. */
  isMentioned(node: string, kind: MentionedKind, namespace: string, name: string): Promise<boolean>;
  isVolumeOnNode(node: string, name: string): Promise<boolean>;
  isAttachmentOfNode(node: string, name: string): Promise<boolean>;
  isSliceOfNode(node: string, name: string): Promise<boolean>;
}

/** Names of the given kind that a pod mentions. */
export function mentionedBy(pod: ApiObject, kind: MentionedKind): Set<string> {
  const { spec, status } = pod as unknown as Pod & { readonly spec: PodSpec };
  const names = new Set<string>();
  const add = (name: string | undefined): void => void (name !== undefined && name !== "" && names.add(name));
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
  switch (kind) {
    case "serviceaccounts":
      add(spec.serviceAccountName);
      break;
    case "secrets":
      for (const pull of spec.imagePullSecrets ?? []) add(pull.name);
      for (const container of containers) {
        for (const from of container.envFrom ?? []) add(from.secretRef?.name);
        for (const env of container.env ?? []) add(env.valueFrom?.secretKeyRef?.name);
      }
      for (const volume of spec.volumes ?? []) {
        add(volume.secret?.secretName);
        add(volume.csi?.nodePublishSecretRef?.name);
        add(volume.azureFile?.secretName);
        add(volume.cephfs?.secretRef?.name);
        add(volume.cinder?.secretRef?.name);
        add(volume.flexVolume?.secretRef?.name);
        add(volume.rbd?.secretRef?.name);
        add(volume.iscsi?.secretRef?.name);
        add(volume.scaleIO?.secretRef?.name);
        add(volume.storageos?.secretRef?.name);
        for (const source of volume.projected?.sources ?? []) add(source.secret?.name);
      }
      break;
    case "configmaps":
      for (const container of containers) {
        for (const from of container.envFrom ?? []) add(from.configMapRef?.name);
        for (const env of container.env ?? []) add(env.valueFrom?.configMapKeyRef?.name);
      }
      for (const volume of spec.volumes ?? []) {
        add(volume.configMap?.name);
        for (const source of volume.projected?.sources ?? []) add(source.configMap?.name);
      }
      break;
    case "persistentvolumeclaims":
      for (const volume of spec.volumes ?? []) {
        add(volume.persistentVolumeClaim?.claimName);
        if (volume.ephemeral !== undefined) add(`${pod.metadata["name"] as string}-${volume.name}`);
      }
      break;
    case "resourceclaims":
      for (const claim of spec.resourceClaims ?? []) {
        const made = status?.resourceClaimStatuses?.find(({ name }) => name === claim.name);
        add(claim.resourceClaimName ?? made?.resourceClaimName);
      }
      add(status?.extendedResourceClaimStatus?.resourceClaimName);
  }
  return names;
}

/** `NAMESPACE/NAME` of the secrets that a kubelet needs for a volume. */
export function secretsOfVolume(volume: ApiObject): Set<string> {
  const { spec } = volume as unknown as PersistentVolume;
  const home = spec?.claimRef?.namespace ?? "";
  const found = new Set<string>();
  const add = (
    ref: { readonly name?: string | undefined; readonly namespace?: string | undefined } | undefined,
  ): void => {
    if (ref?.name === undefined || ref.name === "") return;
    found.add(`${ref.namespace === undefined || ref.namespace === "" ? home : ref.namespace}/${ref.name}`);
  };
  const { azureFile } = spec ?? {};
  if (azureFile !== undefined) {
    add({
      name: azureFile.secretName,
      ...(azureFile.secretNamespace == null ? {} : { namespace: azureFile.secretNamespace }),
    });
  }
  for (const source of [
    spec?.cephfs,
    spec?.cinder,
    spec?.flexVolume,
    spec?.rbd,
    spec?.scaleIO,
    spec?.iscsi,
    spec?.storageos,
  ]) {
    add(source?.secretRef);
  }
  add(spec?.csi?.nodePublishSecretRef);
  add(spec?.csi?.nodeStageSecretRef);
  add(spec?.csi?.nodeExpandSecretRef);
  return found;
}

/** Follows the relations in the watch cache, where pods are found by their node: no second picture of them is kept. */
export function createNodeGraph(objects: RegistryReader): NodeGraph {
  const podsOn = (node: string): Promise<readonly ApiObject[]> =>
    objects.list(PODS, undefined, { fieldSelector: `spec.nodeName=${node}` });
  /** A mirror pod is the node's own word: it leads nowhere. */
  const leads = (pod: ApiObject): boolean => !Object.hasOwn((pod.metadata["annotations"] ?? {}) as object, MIRROR);
  const nodeNameOf = (object: ApiObject | undefined): string | undefined =>
    (object?.["spec"] as { readonly nodeName?: string } | undefined)?.nodeName;

  async function isMentioned(node: string, kind: MentionedKind, namespace: string, name: string): Promise<boolean> {
    const pods = (await podsOn(node)).filter(leads);
    const isIn = (pod: ApiObject): boolean => pod.metadata["namespace"] === namespace;
    if (pods.some((pod) => isIn(pod) && mentionedBy(pod, kind).has(name))) return true;
    return kind === "secrets" && leadsByVolume(pods, `${namespace}/${name}`);
  }

  async function leadsByVolume(pods: readonly ApiObject[], secret: string): Promise<boolean> {
    for (const pod of pods) {
      const namespace = pod.metadata["namespace"] as string;
      for (const claimName of mentionedBy(pod, "persistentvolumeclaims")) {
        const claim = await objects.get(CLAIMS, namespace, claimName);
        const { volumeName } = (claim?.["spec"] ?? {}) as { readonly volumeName?: string };
        const volume =
          volumeName === undefined || volumeName === "" ? undefined : await objects.get(VOLUMES, "", volumeName);
        if (volume === undefined || !isClaimedBy(volume, namespace, claimName)) continue;
        if (secretsOfVolume(volume).has(secret)) return true;
      }
    }
    return false;
  }

  function isClaimedBy(volume: ApiObject, namespace: string, name: string): boolean {
    const ref = (volume as unknown as PersistentVolume).spec?.claimRef;
    return ref?.namespace === namespace && ref.name === name;
  }

  return {
    isMentioned,
    async isPodOnNode(node, namespace, name) {
      return nodeNameOf(await objects.get(PODS, namespace, name)) === node;
    },
    async isVolumeOnNode(node, name) {
      const volume = await objects.get(VOLUMES, "", name);
      const ref = (volume as unknown as PersistentVolume | undefined)?.spec?.claimRef;
      if (ref?.name === undefined || ref.namespace === undefined) return false;
      return isMentioned(node, "persistentvolumeclaims", ref.namespace, ref.name);
    },
    async isAttachmentOfNode(node, name) {
      return nodeNameOf(await objects.get(ATTACHMENTS, "", name)) === node;
    },
    async isSliceOfNode(node, name) {
      return nodeNameOf(await objects.get(SLICES, "", name)) === node;
    },
  };
}
