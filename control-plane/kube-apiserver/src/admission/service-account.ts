import { forbidden } from "@coracle/apimachinery";
import { randomSuffix, type Random } from "@coracle/base";
import type { ServiceAccount } from "@coracle/api/core/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf, type MutablePodSpec } from "./pod-draft.ts";

const ACCOUNTS = { group: "", version: "v1", plural: "serviceaccounts" };
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
export const TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SECONDS = 3607;

const refuse = (attributes: AdmissionAttributes, why: string): Error =>
  forbidden({ group: "", resource: "pods" }, attributes.name, why);

/** The volume that holds a pod's token, the cluster's authority and the pod's namespace. */
function accessVolume(name: string): Record<string, unknown> {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  };
}

/** Mounts the volume into every container that has nothing at its path; adds the volume when any needs it. */
function mountToken(spec: MutablePodSpec, random: Random): void {
  const existing = (spec.volumes ?? []).find((volume) => String(volume["name"]).startsWith("kube-api-access-"));
  const name = existing === undefined ? `kube-api-access-${randomSuffix(random)}` : String(existing["name"]);
  let isNeeded = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const mounts = (container["volumeMounts"] ?? []) as Record<string, unknown>[];
    if (mounts.some((mount) => mount["mountPath"] === TOKEN_MOUNT_PATH)) continue;
    container["volumeMounts"] = [...mounts, { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH }];
    isNeeded = true;
  }
  if (isNeeded && existing === undefined) spec.volumes = [...(spec.volumes ?? []), accessVolume(name)];
}

/** Pods run as a service account that exists, with its token and pull secrets. */
export function serviceAccount(objects: RegistryReader, random: Random): AdmissionPlugin {
  async function admit(attributes: AdmissionAttributes): Promise<void> {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    const annotations = (attributes.object?.metadata["annotations"] ?? {}) as Record<string, string>;
    if (annotations[MIRROR_ANNOTATION] !== undefined) {
      checkMirror(attributes, spec);
      return;
    }
    const name = spec.serviceAccountName ? spec.serviceAccountName : "default";
    spec.serviceAccountName = name;
    spec.serviceAccount = name;
    const account = (await objects.get(ACCOUNTS, attributes.namespace, name)) as unknown as ServiceAccount | undefined;
    if (account === undefined) {
      throw refuse(
        attributes,
        `error looking up service account ${attributes.namespace}/${name}: serviceaccount "${name}" not found`,
      );
    }
    const isMounted = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
    if (isMounted) mountToken(spec, random);
    if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
      spec.imagePullSecrets = (account.imagePullSecrets ?? []).map((ref) => ({ name: ref.name ?? "" }));
    }
  }

  function checkMirror(attributes: AdmissionAttributes, spec: MutablePodSpec): void {
    if (spec.serviceAccountName) throw refuse(attributes, "a mirror pod may not reference service accounts");
    for (const volume of spec.volumes ?? []) {
      if (volume["secret"] !== undefined) throw refuse(attributes, "a mirror pod may not reference secrets");
      const sources = ((volume["projected"] as { sources?: object[] } | undefined)?.sources ?? []) as Record<
        string,
        unknown
      >[];
      if (sources.some((source) => source["serviceAccountToken"] !== undefined)) {
        throw refuse(attributes, "a mirror pod may not use ServiceAccountToken volume projections");
      }
    }
  }

  return { name: "ServiceAccount", scope: { operations: ["CREATE"], resources: ["/pods"] }, admit };
}
