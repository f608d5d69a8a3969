import type { PersistentVolumeSpec, Volume } from "@coracle/api/core/v1";
import { inTreeKindOf } from "@coracle/apimachinery/storage";

/** A volume that a pod names itself, in the words of the driver that replaced its built-in kind. */
export interface InlineVolume {
  readonly name: string;
  readonly driver: string;
  readonly handle: string;
  readonly spec: PersistentVolumeSpec;
}

/** What the driver is told of a volume beside its handle. */
interface Details {
  readonly attributes: Readonly<Record<string, string>>;
  readonly readOnly?: boolean | undefined;
  readonly fsType?: string | undefined;
  readonly accessMode: string;
}

/** Translates a pod's volume; undefined: no driver attaches such volumes. */
export function inlineVolumeOf(volume: Volume): InlineVolume | undefined {
  const found = inTreeKindOf(volume);
  const details = found === undefined ? undefined : detailsOf(volume);
  if (found === undefined || details === undefined) return undefined;
  const { driver, handle } = found;
  const { attributes, readOnly, fsType, accessMode } = details;
  const csi = {
    driver,
    volumeHandle: handle,
    ...(readOnly === true ? { readOnly } : {}),
    ...(fsType === undefined || fsType === "" ? {} : { fsType }),
    ...(Object.keys(attributes).length === 0 ? {} : { volumeAttributes: attributes }),
  };
  const volumeMode = volume.gcePersistentDisk === undefined ? {} : { volumeMode: "Filesystem" };
  return {
    name: volume.azureDisk === undefined ? `${driver}-${nameInDriver(volume, handle)}` : handle,
    driver,
    handle,
    spec: { csi, accessModes: [accessMode], ...volumeMode },
  };
}

const nameInDriver = ({ gcePersistentDisk }: Volume, handle: string): string => gcePersistentDisk?.pdName ?? handle;

function detailsOf(volume: Volume): Details | undefined {
  const { gcePersistentDisk, awsElasticBlockStore, azureDisk, cinder, vsphereVolume, portworxVolume } = volume;
  const once = "ReadWriteOnce";
  const byReadOnly = (readOnly = false): string => (readOnly ? "ReadOnlyMany" : once);
  if (gcePersistentDisk !== undefined) {
    const { partition = 0, readOnly } = gcePersistentDisk;
    const attributes = { partition: partition === 0 ? "" : String(partition) };
    return { ...gcePersistentDisk, attributes, accessMode: byReadOnly(readOnly) };
  }
  if (awsElasticBlockStore !== undefined)
    return {
      ...awsElasticBlockStore,
      attributes: { partition: String(awsElasticBlockStore.partition ?? 0) },
      accessMode: once,
    };
  if (azureDisk !== undefined) {
    const { kind = "Managed", cachingMode, fsType } = azureDisk;
    if (kind.toLowerCase() !== "managed") return undefined;
    const caching = cachingMode === undefined || cachingMode === "" ? {} : { cachingMode };
    const attributes = { kind: "managed", ...caching, ...(fsType === undefined ? {} : { fsType }) };
    return { ...azureDisk, attributes, accessMode: once };
  }
  if (cinder !== undefined) return { ...cinder, attributes: {}, accessMode: once };
  if (vsphereVolume !== undefined) return { ...vsphereVolume, attributes: {}, accessMode: once };
  if (portworxVolume !== undefined) {
    const { fsType, readOnly } = portworxVolume;
    return { fsType, attributes: {}, accessMode: byReadOnly(readOnly) };
  }
  return undefined;
}

/**
 * The name under which a node tells of a volume that it reaches by itself, over iSCSI or Fibre Channel: nothing has to
 * be done for it, but that the node is told that it may. Undefined: it is of another kind.
 */
export function reachedByNode({
  iscsi,
  fc,
}: Pick<Volume, "iscsi" | "fc"> | Pick<PersistentVolumeSpec, "iscsi" | "fc">): string | undefined {
  if (iscsi !== undefined) return `kubernetes.io/iscsi/${iscsi.targetPortal}:${iscsi.iqn}:${iscsi.lun}`;
  if (fc === undefined) return undefined;
  const { targetWWNs = [], lun, wwids = [] } = fc;
  if (targetWWNs.length > 0 && lun !== undefined) return `kubernetes.io/fc/[${targetWWNs.join(" ")}]:${lun}`;
  return wwids.length > 0 ? `kubernetes.io/fc/[${wwids.join(" ")}]` : undefined;
}

/** Whether a name among those a node tells is one of `reachedByNode`. */
export const isReachedByNode = (unique: string): boolean => /^kubernetes\.io\/(?:iscsi|fc)\//.test(unique);
