import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume } from "@coracle/api/core/v1";
import { fieldValue, resourceValue, type NodeAmounts } from "../container/downward.ts";
import { findContainer } from "../container/environment.ts";
import type { VolumeFile, VolumePayload } from "./atomic-writer.ts";

/** A volume cannot be set up; the message goes into the FailedMount event. */
export class VolumeError extends Error {
  override readonly name = "VolumeError";
}

export interface PayloadSources {
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  token(audience: string | undefined, expirationSeconds: number): Promise<string>;
  readonly podIps: readonly string[];
  readonly nodeIps: readonly string[];
  readonly node: NodeAmounts;
}

const DEFAULT_MODE = 0o644;
const DEFAULT_TOKEN_SECONDS = 3600;

/** The files of a configMap, secret, downwardAPI or projected volume; undefined for other kinds. */
export async function volumePayload(
  pod: Pod,
  volume: Volume,
  sources: PayloadSources,
): Promise<VolumePayload | undefined> {
  const files = new Map<string, VolumeFile>();
  if (volume.configMap !== undefined) {
    const { name = "", items, defaultMode = DEFAULT_MODE, optional } = volume.configMap;
    addConfigMap(pod, files, name, sources.configMap(name), items, defaultMode, optional);
  } else if (volume.secret !== undefined) {
    const { secretName = "", items, defaultMode = DEFAULT_MODE, optional } = volume.secret;
    addSecret(pod, files, secretName, sources.secret(secretName), items, defaultMode, optional);
  } else if (volume.downwardAPI !== undefined) {
    const { items, defaultMode = DEFAULT_MODE } = volume.downwardAPI;
    addDownward(pod, files, items, defaultMode, sources);
  } else if (volume.projected !== undefined) {
    const mode = volume.projected.defaultMode ?? DEFAULT_MODE;
    for (const source of volume.projected.sources ?? []) {
      if (source.configMap !== undefined) {
        const { name = "", items, optional } = source.configMap;
        addConfigMap(pod, files, name, sources.configMap(name), items, mode, optional);
      } else if (source.secret !== undefined) {
        const { name = "", items, optional } = source.secret;
        addSecret(pod, files, name, sources.secret(name), items, mode, optional);
      } else if (source.downwardAPI !== undefined) addDownward(pod, files, source.downwardAPI.items, mode, sources);
      else if (source.serviceAccountToken !== undefined) {
        const { audience, path, expirationSeconds = DEFAULT_TOKEN_SECONDS } = source.serviceAccountToken;
        const token = await sources.token(audience, expirationSeconds);
        files.set(path, { data: Buffer.from(token), ...tokenOwnership(pod, mode) });
      } else throw new VolumeError("a projected source of this kind is not supported");
    }
  } else return undefined;
  return files;
}

/** A token is for the pod's user alone, unless its group is set or its users differ. */
function tokenOwnership(pod: Pod, mode: number): { readonly mode: number; readonly uid?: number } {
  if (pod.spec?.securityContext?.fsGroup !== undefined) return { mode: 0o600 };
  const users = new Set(
    [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].map(
      (container) => container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser,
    ),
  );
  const [user] = users;
  if (users.size === 1 && user !== undefined) return { mode: 0o600, uid: user };
  return { mode };
}

function addConfigMap(
  pod: Pod,
  files: Map<string, VolumeFile>,
  name: string,
  object: ConfigMap | undefined,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean | undefined,
): void {
  if (object === undefined) {
    if (optional === true) return;
    throw new VolumeError(`configmap "${name}" not found`);
  }
  const data = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(object.data ?? {})) data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(object.binaryData ?? {})) data.set(key, Buffer.from(value, "base64"));
  addItems(files, data, items, mode, optional, "references non-existent config key");
}

function addSecret(
  pod: Pod,
  files: Map<string, VolumeFile>,
  name: string,
  object: Secret | undefined,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean | undefined,
): void {
  if (object === undefined) {
    if (optional === true) return;
    throw new VolumeError(`secret "${name}" not found`);
  }
  const data = new Map<string, Buffer>();
  for (const [key, value] of Object.entries(object.data ?? {})) data.set(key, Buffer.from(value, "base64"));
  addItems(files, data, items, mode, optional, "references non-existent secret key");
}

function addItems(
  files: Map<string, VolumeFile>,
  data: ReadonlyMap<string, Buffer>,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean | undefined,
  missing: string,
): void {
  if (items === undefined || items.length === 0) {
    for (const [key, value] of data) files.set(key, { data: value, mode });
    return;
  }
  for (const item of items) {
    const value = data.get(item.key);
    if (value === undefined) {
      if (optional === true) continue;
      throw new VolumeError(`${missing}: ${item.key}`);
    }
    files.set(item.path, { data: value, mode: item.mode ?? mode });
  }
}

function addDownward(
  pod: Pod,
  files: Map<string, VolumeFile>,
  items: readonly DownwardAPIVolumeFile[] | undefined,
  mode: number,
  sources: PayloadSources,
): void {
  for (const item of items ?? []) {
    let text = "";
    if (item.fieldRef !== undefined) text = fieldValue(pod, item.fieldRef.fieldPath, sources) ?? "";
    else if (item.resourceFieldRef !== undefined) {
      const container = findContainer(pod, item.resourceFieldRef.containerName ?? "");
      if (container === undefined) {
        throw new VolumeError(`container ${item.resourceFieldRef.containerName ?? ""} not found`);
      }
      text = resourceValue(container, item.resourceFieldRef, sources.node);
    }
    files.set(item.path, { data: Buffer.from(text), mode: item.mode ?? mode });
  }
}
