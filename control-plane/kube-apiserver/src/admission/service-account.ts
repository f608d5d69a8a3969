import { statusError } from "@coracle/apimachinery";
import { randomSuffix, type Random } from "@coracle/base";
import type { Pod, ServiceAccount } from "@coracle/api/core/v1";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { AdmissionPlugin } from "./plugin.ts";
import { podSpecOf, type MutablePodSpec } from "./pod-draft.ts";
import { projectsTokens, referencesSecrets } from "./pod-references.ts";
import { refusalOf } from "./refusal.ts";

const ACCOUNTS = { group: "", version: "v1", plural: "serviceaccounts" };
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";
export const TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_SECONDS = 3607;
const ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets";

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
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    const mounts = (container["volumeMounts"] ?? []) as Record<string, unknown>[];
    if (mounts.some((mount) => mount["mountPath"] === TOKEN_MOUNT_PATH)) continue;
    container["volumeMounts"] = [...mounts, { name, readOnly: true, mountPath: TOKEN_MOUNT_PATH }];
    isNeeded = true;
  }
  if (isNeeded && existing === undefined) spec.volumes = [...(spec.volumes ?? []), accessVolume(name)];
}

type Named = { readonly name?: string } | undefined;
interface Environment {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly valueFrom?: { readonly secretKeyRef?: Named } }[];
  readonly envFrom?: readonly { readonly secretRef?: Named }[];
}

/** The first secret that a container takes into its environment and its account does not name. */
function unnamedSecret(
  word: string,
  containers: readonly Record<string, unknown>[] | undefined,
  secrets: ReadonlySet<string>,
  account: string,
): string | undefined {
  for (const { name, env, envFrom } of (containers ?? []) as unknown as readonly Environment[]) {
    const why = (what: string, secret: string): string =>
      `${word} ${name} with ${what} referencing secret.secretName="${secret}" is not allowed because service account ${account} does not reference that secret`;
    for (const one of env ?? []) {
      const secret = one.valueFrom?.secretKeyRef?.name;
      if (secret !== undefined && !secrets.has(secret)) return why(`envVar ${one.name}`, secret);
    }
    for (const { secretRef } of envFrom ?? []) {
      if (secretRef?.name !== undefined && !secrets.has(secretRef.name)) return why("envFrom", secretRef.name);
    }
  }
  return undefined;
}

/** Why the account's annotation forbids this pod; undefined: it does not. */
function unmountable(spec: MutablePodSpec, account: ServiceAccount): string | undefined {
  const { name = "" } = account.metadata;
  const secrets = new Set((account.secrets ?? []).map((ref) => ref.name ?? ""));
  for (const volume of spec.volumes ?? []) {
    const secret = (volume["secret"] as { secretName?: string } | undefined)?.secretName;
    if (secret !== undefined && !secrets.has(secret)) {
      return `volume with secret.secretName="${secret}" is not allowed because service account ${name} does not reference that secret`;
    }
  }
  const inEnvironment =
    unnamedSecret("init container", spec.initContainers, secrets, name) ??
    unnamedSecret("container", spec.containers, secrets, name);
  if (inEnvironment !== undefined) return inEnvironment;
  const pullSecrets = new Set((account.imagePullSecrets ?? []).map((ref) => ref.name ?? ""));
  const at = (spec.imagePullSecrets ?? []).findIndex((ref) => !pullSecrets.has(ref.name));
  return at === -1
    ? undefined
    : `imagePullSecrets[${at}].name="${spec.imagePullSecrets![at]!.name}" is not allowed because service account ${name} does not reference that imagePullSecret`;
}

const enforcesSecrets = ({ metadata }: ServiceAccount): boolean =>
  /^(1|t|T|true|TRUE|True)$/.test(metadata.annotations?.[ENFORCE_ANNOTATION] ?? "");

/** Pods run as a service account that exists, with its token and pull secrets. */
export function serviceAccount(objects: RegistryReader, random: Random): AdmissionPlugin {
  async function accountOf(attributes: AdmissionAttributes, name: string): Promise<ServiceAccount> {
    const found = (await objects.get(ACCOUNTS, attributes.namespace, name)) as unknown as ServiceAccount | undefined;
    if (found !== undefined) return found;
    throw refusalOf(
      attributes,
      `error looking up service account ${attributes.namespace}/${name}: serviceaccount "${name}" not found`,
    );
  }

  const isMirror = ({ object }: AdmissionAttributes): boolean =>
    ((object?.metadata["annotations"] ?? {}) as Record<string, string>)[MIRROR_ANNOTATION] !== undefined;

  async function admit(attributes: AdmissionAttributes): Promise<void> {
    const spec = podSpecOf(attributes);
    if (spec === undefined || attributes.operation !== "CREATE") return;
    if (isMirror(attributes)) {
      checkMirror(attributes, spec);
      return;
    }
    const name = spec.serviceAccountName ? spec.serviceAccountName : "default";
    spec.serviceAccountName = name;
    spec.serviceAccount = name;
    const account = await accountOf(attributes, name);
    const isMounted = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
    if (isMounted) mountToken(spec, random);
    if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
      spec.imagePullSecrets = (account.imagePullSecrets ?? []).map((ref) => ({ name: ref.name ?? "" }));
    }
    checkSecrets(attributes, spec, account);
  }

  function checkMirror(attributes: AdmissionAttributes, spec: MutablePodSpec): void {
    const pod = spec as unknown as NonNullable<Pod["spec"]>;
    if (spec.serviceAccountName) throw refusalOf(attributes, "a mirror pod may not reference service accounts");
    if (referencesSecrets(pod)) throw refusalOf(attributes, "a mirror pod may not reference secrets");
    if (projectsTokens(pod)) {
      throw refusalOf(attributes, "a mirror pod may not use ServiceAccountToken volume projections");
    }
  }

  function checkSecrets(attributes: AdmissionAttributes, spec: MutablePodSpec, account: ServiceAccount): void {
    const why = enforcesSecrets(account) ? unmountable(spec, account) : undefined;
    if (why !== undefined) throw refusalOf(attributes, why);
  }

  async function validate(attributes: AdmissionAttributes): Promise<void> {
    const spec = podSpecOf(attributes);
    if (spec === undefined) return;
    const { operation, subresource, namespace, object } = attributes;
    const isDebugging = operation === "UPDATE" && subresource === "ephemeralcontainers";
    if (operation !== "CREATE" && !isDebugging) return;
    if (operation === "CREATE" && isMirror(attributes)) {
      checkMirror(attributes, spec);
      return;
    }
    const name = spec.serviceAccountName;
    if (!name) {
      const pod = `${namespace}/${(object?.metadata["name"] as string | undefined) ?? ""}`;
      throw refusalOf(attributes, `no service account specified for pod ${pod}`);
    }
    const account = await accountOf(attributes, name);
    if (!isDebugging) {
      checkSecrets(attributes, spec, account);
      return;
    }
    if (!enforcesSecrets(account)) return;
    const { ephemeralContainers } = spec as { ephemeralContainers?: Record<string, unknown>[] };
    const secrets = new Set((account.secrets ?? []).map((ref) => ref.name ?? ""));
    const why = unnamedSecret("ephemeral container", ephemeralContainers, secrets, name);
    if (why !== undefined) throw statusError("", why);
  }

  return {
    name: "ServiceAccount",
    scope: { operations: ["CREATE", "UPDATE"], resources: ["/pods", "/pods/ephemeralcontainers"] },
    admit,
    validate,
  };
}
