import type { Container, Pod } from "@coracle/api/core/v1";

type Spec = NonNullable<Pod["spec"]>;

const containersOf = (spec: Spec): readonly Container[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...((spec.ephemeralContainers ?? []) as readonly unknown[] as readonly Container[]),
];

const isSet = (value: unknown): boolean => value !== undefined && value !== null;

/** Whether a volume, or what is projected into it, has such a source. */
const hasSource = (spec: Spec, name: "secret" | "configMap" | "serviceAccountToken"): boolean =>
  (spec.volumes ?? []).some(
    (volume) =>
      isSet((volume as unknown as Record<string, unknown>)[name]) ||
      (volume.projected?.sources ?? []).some((source) => isSet((source as unknown as Record<string, unknown>)[name])),
  );

/** Volumes of these kinds may name a secret to reach what they hold. */
const SECRET_HOLDERS = ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"];

/** Whether the pod needs any secret. */
export function referencesSecrets(spec: Spec): boolean {
  const byVolume = (spec.volumes ?? []).some((volume) => {
    const of = volume as unknown as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;
    return (
      SECRET_HOLDERS.some((kind) => isSet(of[kind]?.["secretRef"])) ||
      isSet(of["csi"]?.["nodePublishSecretRef"]) ||
      isSet(of["azureFile"])
    );
  });
  return (
    byVolume ||
    (spec.imagePullSecrets ?? []).length > 0 ||
    hasSource(spec, "secret") ||
    containersOf(spec).some(
      ({ env, envFrom }) =>
        (env ?? []).some(({ valueFrom }) => isSet(valueFrom?.secretKeyRef)) ||
        (envFrom ?? []).some(({ secretRef }) => isSet(secretRef)),
    )
  );
}

/** Whether the pod needs any config map. */
export function referencesConfigMaps(spec: Spec): boolean {
  return (
    hasSource(spec, "configMap") ||
    containersOf(spec).some(
      ({ env, envFrom }) =>
        (env ?? []).some(({ valueFrom }) => isSet(valueFrom?.configMapKeyRef)) ||
        (envFrom ?? []).some(({ configMapRef }) => isSet(configMapRef)),
    )
  );
}

/** Whether the pod has a token of its account projected. */
export const projectsTokens = (spec: Spec): boolean => hasSource(spec, "serviceAccountToken");

/** Volumes that hold something of the API's other objects, and how upstream says so. */
const BY_VOLUME: readonly (readonly [string, string])[] = [
  ["configMap", "configmaps (via configmap volumes)"],
  ["secret", "secrets (via secret volumes)"],
  ["csi", "csidrivers (via CSI volumes)"],
  ["glusterfs", "endpoints (via glusterFS volumes)"],
  ["persistentVolumeClaim", "persistentvolumeclaims"],
  ["ephemeral", "persistentvolumeclaims (via ephemeral volumes)"],
  ["azureFile", "secrets (via azureFile volumes)"],
];
const BY_PROJECTION: readonly (readonly [string, string])[] = [
  ["configMap", "configmaps (via projected volumes)"],
  ["secret", "secrets (via projected volumes)"],
  ["serviceAccountToken", "serviceaccounts (via projected volumes)"],
  ["clusterTrustBundle", "clustertrustbundles"],
  ["podCertificate", "podcertificates"],
];

/** What of the API a pod refers to: a pod made by a node may refer to nothing. */
export function firstReference(spec: Spec): string | undefined {
  if ((spec.serviceAccountName ?? "") !== "") return "serviceaccounts";
  if (referencesSecrets(spec)) return "secrets";
  if (referencesConfigMaps(spec)) return "configmaps";
  if ((spec.resourceClaims ?? []).length > 0) return "resourceclaims";
  for (const volume of (spec.volumes ?? []) as readonly unknown[] as readonly Record<string, unknown>[]) {
    const found = BY_VOLUME.find(([kind]) => isSet(volume[kind]));
    if (found !== undefined) return found[1];
    const { sources } = (volume["projected"] ?? {}) as { sources?: readonly Record<string, unknown>[] | null };
    for (const source of sources ?? []) {
      const projected = BY_PROJECTION.find(([kind]) => isSet(source[kind]));
      if (projected !== undefined) return projected[1];
    }
  }
  return undefined;
}
