import type { NodeSelectorTerm, PersistentVolume, PersistentVolumeSpec, Volume } from "@coracle/api/core/v1";
import type { CSINode } from "@coracle/api/storage/v1";

const MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins";
const BETA_ZONE = "failure-domain.beta.kubernetes.io/zone";
const ZONE = "topology.kubernetes.io/zone";
const BETA_REGION = "failure-domain.beta.kubernetes.io/region";
const REGION = "topology.kubernetes.io/region";

/** A kind of volume that was built in once, and the driver that serves it now. */
interface InTreeKind {
  readonly plugin: string;
  readonly driver: string;
  /** Where the driver tells zones by a label of its own. */
  readonly zoneKey?: string;
  /** The driver's name of a volume of this kind; undefined: it is of another. */
  handleOf(spec: PersistentVolumeSpec | Volume, labels: Readonly<Record<string, string>>): string | undefined;
}

const KINDS: readonly InTreeKind[] = [
  {
    plugin: "kubernetes.io/gce-pd",
    driver: "pd.csi.storage.gke.io",
    zoneKey: "topology.gke.io/zone",
    handleOf({ gcePersistentDisk: disk }, labels) {
      if (disk === undefined) return undefined;
      const zones = (labels[BETA_ZONE] ?? labels[ZONE] ?? "").split("__");
      const region = zones[0]?.replace(/-[^-]*$/, "");
      if (zones.length > 1) return `projects/UNSPECIFIED/regions/${region}/disks/${disk.pdName}`;
      return `projects/UNSPECIFIED/zones/${zones[0] === "" ? "UNSPECIFIED" : zones[0]}/disks/${disk.pdName}`;
    },
  },
  {
    plugin: "kubernetes.io/aws-ebs",
    driver: "ebs.csi.aws.com",
    zoneKey: "topology.ebs.csi.aws.com/zone",
    handleOf: ({ awsElasticBlockStore: disk }) => disk?.volumeID.replace(/^aws:\/\/[^/]*\/+/, ""),
  },
  {
    plugin: "kubernetes.io/azure-disk",
    driver: "disk.csi.azure.com",
    zoneKey: "topology.disk.csi.azure.com/zone",
    handleOf: ({ azureDisk: disk }) => disk?.diskURI,
  },
  {
    plugin: "kubernetes.io/cinder",
    driver: "cinder.csi.openstack.org",
    zoneKey: "topology.cinder.csi.openstack.org/zone",
    handleOf: ({ cinder: disk }) => disk?.volumeID,
  },
  {
    plugin: "kubernetes.io/portworx-volume",
    driver: "pxd.portworx.com",
    handleOf: ({ portworxVolume: disk }) => disk?.volumeID,
  },
  {
    plugin: "kubernetes.io/vsphere-volume",
    driver: "csi.vsphere.vmware.com",
    handleOf: ({ vsphereVolume: disk }) => disk?.volumePath,
  },
  // A share is never attached to a node: its driver's name is all that anybody asks for.
  { plugin: "kubernetes.io/azure-file", driver: "file.csi.azure.com", handleOf: () => undefined },
];

const NO_LABELS = {};

/** A volume in the words of a driver. */
export interface DriverVolume {
  readonly driver: string;
  readonly handle: string;
}

/** Whether the node serves volumes of this built-in kind by a driver. */
function isMigrated(plugin: string, csiNode: CSINode | undefined): boolean {
  return csiNode?.metadata.annotations?.[MIGRATED_PLUGINS]?.split(",").includes(plugin) === true;
}

/** The built-in kind that a volume was of once; undefined: of none that drivers serve now. */
export function inTreeKindOf(
  spec: PersistentVolumeSpec | Volume,
  labels: Readonly<Record<string, string>> = NO_LABELS,
): (DriverVolume & { readonly plugin: string }) | undefined {
  for (const kind of KINDS) {
    const handle = kind.handleOf(spec, labels);
    if (handle !== undefined) return { plugin: kind.plugin, driver: kind.driver, handle };
  }
  return undefined;
}

/** The driver that a built-in plugin was replaced by. */
export const driverOfPlugin = (plugin: string): string | undefined =>
  KINDS.find((kind) => kind.plugin === plugin)?.driver;

/** Whether a volume of a pod is of a built-in kind that drivers serve now. */
export const isInlineMigratable = (volume: Volume): boolean =>
  KINDS.some((kind) => kind.handleOf(volume, NO_LABELS) !== undefined);

/** The driver and its name for a volume of a built-in kind, where the node leaves those to drivers. */
export function migratedVolume(
  spec: PersistentVolumeSpec | Volume,
  csiNode: CSINode | undefined,
  labels: Readonly<Record<string, string>> = NO_LABELS,
): DriverVolume | undefined {
  for (const kind of KINDS) {
    const handle = kind.handleOf(spec, labels);
    if (handle !== undefined) return isMigrated(kind.plugin, csiNode) ? { driver: kind.driver, handle } : undefined;
  }
  return undefined;
}

/** The driver that makes volumes for a provisioner; undefined: a built-in one that the node does not leave to a driver. */
export function driverOfProvisioner(provisioner: string, csiNode: CSINode | undefined): string | undefined {
  const kind = KINDS.find(({ plugin }) => plugin === provisioner);
  if (kind === undefined) return provisioner;
  return isMigrated(kind.plugin, csiNode) ? kind.driver : undefined;
}

/** The volume as the node's driver sees it: zones under the driver's own label. */
export function asDriverSees(volume: PersistentVolume, csiNode: CSINode | undefined): PersistentVolume {
  const { spec, metadata } = volume;
  if (spec === undefined || csiNode === undefined) return volume;
  const labels = metadata.labels ?? NO_LABELS;
  const kind = KINDS.find((each) => each.handleOf(spec, labels) !== undefined);
  if (kind?.zoneKey === undefined || !isMigrated(kind.plugin, csiNode)) return volume;
  const required = withDriverZones(spec.nodeAffinity?.required?.nodeSelectorTerms ?? [], labels, kind.zoneKey);
  if (required.length === 0) return volume;
  return { ...volume, spec: { ...spec, nodeAffinity: { required: { nodeSelectorTerms: required } } } };
}

function withDriverZones(
  terms: readonly NodeSelectorTerm[],
  labels: Readonly<Record<string, string>>,
  zoneKey: string,
): readonly NodeSelectorTerm[] {
  const has = (key: string): boolean =>
    terms.some(({ matchExpressions = [] }) => matchExpressions.some((each) => each.key === key));
  const isBeta = !has(ZONE) && (has(BETA_ZONE) || (labels[ZONE] === undefined && labels[BETA_ZONE] !== undefined));
  const zoneLabel = isBeta ? BETA_ZONE : ZONE;
  if (has(zoneLabel))
    return terms.map((term) => ({
      ...term,
      matchExpressions: (term.matchExpressions ?? []).map((each) => {
        if (each.key === zoneLabel) return { ...each, key: zoneKey };
        return isBeta && each.key === BETA_REGION ? { ...each, key: REGION } : each;
      }),
    }));
  const zones = [...new Set((labels[zoneLabel] ?? "").split("__").map((zone) => zone.trim()))].filter((z) => z !== "");
  if (zones.length === 0) return terms;
  const inZones = { key: zoneKey, operator: "In", values: zones.sort() };
  return (terms.length === 0 ? [{}] : terms).map((term: NodeSelectorTerm) => ({
    ...term,
    matchExpressions: [...(term.matchExpressions ?? []), inZones],
  }));
}
