import { chmod, chown, lstat, mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { rm } from "node:fs/promises";
import { PersistentVolume, PersistentVolumeClaim, ServiceAccount, type Pod, type Volume } from "@coracle/api/core/v1";
import type { TokenRequest } from "@coracle/api/authentication/v1";
import type { Clock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { claimUseOf, foreignClaim, type ClaimUse } from "@coracle/apimachinery/storage";
import { listMounts, mount, mountsBelow, unmountTree } from "@coracle/linux";
import type { NodeAmounts } from "../container/downward.ts";
import { quantityUnits } from "../resources/quantity.ts";
import { writeVolume } from "./atomic-writer.ts";
import { VolumeError, volumePayload } from "./payload.ts";
import type { ReferencedObjects } from "./referenced-objects.ts";

export interface VolumeManagerDeps {
  readonly client: ApiClient;
  readonly objects: ReferencedObjects;
  readonly clock: Clock;
  /** `ROOT/pods`. */
  readonly podsFolder: string;
  readonly nodeIps: readonly string[];
  readonly node: () => NodeAmounts;
}

/** Where a pod's volumes are on the host, by volume name. */
export type VolumePaths = ReadonlyMap<string, string>;

export interface VolumeManager {
  /** Sets up what is missing and brings files of API data up to date. Throws VolumeError. */
  prepare(pod: Pod, podIps: readonly string[]): Promise<VolumePaths>;
  /** When a token of the pod should be renewed; undefined when it has none. */
  renewAt(uid: string): number | undefined;
  /** Unmounts and deletes everything of a pod. */
  remove(uid: string): Promise<void>;
}

interface Token {
  readonly value: string;
  readonly renewAt: number;
}

const RENEW_SHARE = 0.8;
const MAX_TOKEN_AGE_MS = 24 * 3600_000;

export function createVolumeManager(deps: VolumeManagerDeps): VolumeManager {
  const { client, objects, clock } = deps;
  /** By pod uid, then audience and duration. */
  const tokens = new Map<string, Map<string, Token>>();
  let stamps = 0;

  async function token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const { uid = "", namespace = "", name = "" } = pod.metadata;
    let of = tokens.get(uid);
    if (of === undefined) tokens.set(uid, (of = new Map()));
    const key = `${audience ?? ""}/${expirationSeconds}`;
    const now = clock.now();
    const known = of.get(key);
    if (known !== undefined && known.renewAt > now) return known.value;
    const serviceAccount = pod.spec?.serviceAccountName ?? "default";
    try {
      const answer = await client.post<TokenRequest>(ServiceAccount, { namespace, name: serviceAccount }, "token", {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: {},
        spec: {
          audiences: audience === undefined || audience === "" ? [] : [audience],
          expirationSeconds,
          boundObjectRef: { kind: "Pod", apiVersion: "v1", name, uid },
        },
      });
      const expires = Date.parse(answer.status?.expirationTimestamp ?? "");
      const life = Math.min(expires - now, expirationSeconds * 1000);
      const made: Token = {
        value: answer.status?.token ?? "",
        renewAt: now + Math.min(Math.max(life * RENEW_SHARE, 1000), MAX_TOKEN_AGE_MS),
      };
      of.set(key, made);
      return made.value;
    } catch (error) {
      // An old token is better than none while the server cannot be reached.
      if (known !== undefined) return known.value;
      const message = error instanceof Error ? error.message : String(error);
      throw new VolumeError(`failed to fetch token: ${message}`);
    }
  }

  async function prepareOne(pod: Pod, volume: Volume, podIps: readonly string[], mounted: () => Promise<Set<string>>) {
    const { uid = "", namespace = "" } = pod.metadata;
    const folderOf = (plugin: string): string =>
      join(deps.podsFolder, uid, "volumes", `kubernetes.io~${plugin}`, volume.name);
    if (volume.hostPath !== undefined) {
      await checkHostPath(volume.hostPath.path, volume.hostPath.type ?? "");
      return volume.hostPath.path;
    }
    const gid = pod.spec?.securityContext?.fsGroup;
    if (volume.emptyDir !== undefined) {
      const folder = folderOf("empty-dir");
      await prepareEmptyDir(folder, volume, await mounted());
      if (gid !== undefined) await own(folder, gid);
      return folder;
    }
    const kind = volumeKind(volume);
    if (kind !== undefined) {
      const folder = folderOf(kind);
      const payload = await volumePayload(pod, volume, {
        configMap: (name) => objects.configMap(namespace, name),
        secret: (name) => objects.secret(namespace, name),
        token: (audience, seconds) => token(pod, audience, seconds),
        podIps,
        nodeIps: deps.nodeIps,
        node: deps.node(),
      });
      await mkdir(folder, { recursive: true });
      await chmod(folder, 0o755);
      const withGroup =
        gid === undefined
          ? payload
          : new Map([...(payload ?? [])].map(([path, file]) => [path, { ...file, mode: file.mode | 0o440 }]));
      const stamp = `${new Date(clock.now()).toISOString().replaceAll(/[-:]/g, "_").slice(0, 19)}.${stamps++}`;
      await writeVolume(folder, withGroup ?? new Map(), { gid, stamp });
      return folder;
    }
    const use = claimUseOf(pod, volume);
    if (use !== undefined) {
      const path = await claimPath(pod, use);
      if (gid !== undefined) await own(path, gid);
      return path;
    }
    throw new VolumeError(`volume plugin not found for volume "${volume.name}"`);
  }

  async function claimPath(pod: Pod, { name, isEphemeral }: ClaimUse): Promise<string> {
    const claim = await client.get(PersistentVolumeClaim, { namespace: pod.metadata.namespace, name });
    const foreign = isEphemeral ? foreignClaim(pod, claim) : undefined;
    if (foreign !== undefined) throw new VolumeError(foreign);
    const volumeName = claim.spec?.volumeName ?? "";
    if (claim.status?.phase !== "Bound" || volumeName === "") {
      throw new VolumeError(`PVC is not bound: persistentvolumeclaim "${name}" is not yet bound`);
    }
    const volume = await client.get(PersistentVolume, { name: volumeName });
    const path = volume.spec?.local?.path ?? volume.spec?.hostPath?.path;
    if (path === undefined) throw new VolumeError(`volume "${volumeName}" is of a kind that this node cannot mount`);
    await checkHostPath(path, volume.spec?.hostPath?.type ?? (volume.spec?.local === undefined ? "" : "Directory"));
    return path;
  }

  return {
    async prepare(pod, podIps) {
      let table: Promise<Set<string>> | undefined;
      const mounted = (): Promise<Set<string>> =>
        (table ??= listMounts().then((mounts) => new Set(mounts.map((each) => each.mountPoint))));
      const folder = join(deps.podsFolder, pod.metadata.uid ?? "");
      await mkdir(join(folder, "volumes"), { recursive: true, mode: 0o750 });
      const paths = new Map<string, string>();
      await Promise.all(
        (pod.spec?.volumes ?? []).map(async (volume) => {
          try {
            paths.set(volume.name, await prepareOne(pod, volume, podIps, mounted));
          } catch (error) {
            const message = error instanceof Error ? error.message : String(error);
            throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${message}`);
          }
        }),
      );
      return paths;
    },
    renewAt(uid) {
      let at: number | undefined;
      for (const each of tokens.get(uid)?.values() ?? []) at = Math.min(at ?? Infinity, each.renewAt);
      return at;
    },
    async remove(uid) {
      tokens.delete(uid);
      const folder = join(deps.podsFolder, uid);
      if ((await lstat(folder).catch(() => undefined)) === undefined) return;
      if (mountsBelow(await listMounts(), folder).length > 0) await unmountTree(folder);
      // A mount that stayed would be emptied too: then rather leave everything.
      if (mountsBelow(await listMounts(), folder).length > 0) throw new Error(`${folder} still has mounts`);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function volumeKind(volume: Volume): string | undefined {
  if (volume.configMap !== undefined) return "configmap";
  if (volume.secret !== undefined) return "secret";
  if (volume.projected !== undefined) return "projected";
  return volume.downwardAPI === undefined ? undefined : "downward-api";
}

async function prepareEmptyDir(folder: string, volume: Volume, mounted: ReadonlySet<string>): Promise<void> {
  if ((await lstat(folder).catch(() => undefined)) === undefined) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o777);
  }
  if (volume.emptyDir?.medium !== "Memory" || mounted.has(folder)) return;
  const size = volume.emptyDir.sizeLimit === undefined ? [] : [`size=${quantityUnits(volume.emptyDir.sizeLimit)}`];
  await mount({ type: "tmpfs", source: "tmpfs", target: folder, options: ["mode=0777", ...size] });
}

/** Gives a volume to a group: the group may read and write, and what is made there belongs to it. */
async function own(folder: string, gid: number): Promise<void> {
  const info = await stat(folder);
  const mode = info.mode & 0o7777;
  if (info.gid === gid && (mode & 0o2070) === 0o2070) return;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await own(path, gid);
    else if (entry.isFile()) {
      const file = await stat(path);
      await chown(path, file.uid, gid);
      await chmod(path, (file.mode & 0o7777) | 0o660);
    }
  }
  await chown(folder, info.uid, gid);
  await chmod(folder, mode | 0o2770);
}

async function checkHostPath(path: string, type: string): Promise<void> {
  if (type === "") return;
  let info = await stat(path).catch(() => undefined);
  if (info === undefined && type === "DirectoryOrCreate") {
    await mkdir(path, { recursive: true, mode: 0o755 });
    info = await stat(path);
  } else if (info === undefined && type === "FileOrCreate") {
    if ((await stat(dirname(path)).catch(() => undefined)) !== undefined) {
      await (await open(path, "a", 0o644)).close();
      info = await stat(path);
    }
  }
  const kinds: Readonly<Record<string, () => boolean>> = {
    DirectoryOrCreate: () => info?.isDirectory() === true,
    Directory: () => info?.isDirectory() === true,
    FileOrCreate: () => info?.isFile() === true,
    File: () => info?.isFile() === true,
    Socket: () => info?.isSocket() === true,
    CharDevice: () => info?.isCharacterDevice() === true,
    BlockDevice: () => info?.isBlockDevice() === true,
  };
  const names: Readonly<Record<string, string>> = {
    DirectoryOrCreate: "directory",
    Directory: "directory",
    FileOrCreate: "file",
    File: "file",
    Socket: "socket file",
    CharDevice: "character device",
    BlockDevice: "block device",
  };
  if (kinds[type]?.() !== true)
    throw new VolumeError(`hostPath type check failed: ${path} is not a ${names[type] ?? type}`);
}
