import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { StorageClass } from "@coracle/api/storage/v1";
import { classOfClaim } from "@coracle/apimachinery/storage";
import type { ClusterChange, Plugin } from "../framework/plugin.ts";
import type { StorageView } from "../storage/storage-view.ts";

const NAME = "VolumeZone";
const CONFLICT = "node(s) had no available volume zone";
/** Beta name → name. */
const BETA: Readonly<Record<string, string>> = {
  "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
};
const KEYS = [...Object.keys(BETA), ...Object.values(BETA)];

/** A volume can be used from these zones (or regions) alone. */
interface Zones {
  readonly key: string;
  readonly values: ReadonlySet<string>;
}

type Lookup = Pick<StorageView, "claim" | "volume" | "storageClass">;

/** Volumes with labels of zones or regions are reachable from there alone. */
export function createVolumeZone(view: Lookup): Plugin {
  return {
    name: NAME,
    events: ["storage-class-changed", "node-added", "node-labels-changed", "volume-claim-changed", "volume-changed"],
    isHelpful: mayBeInZoneNow,
    preFilter(state, pod) {
      const zones = zonesOfPod(pod, view);
      if (typeof zones === "string") return { rejected: [zones] };
      if (zones.length === 0) return { skip: true };
      state.set(NAME, zones);
      return undefined;
    },
    filter(state, _pod, { node }) {
      const labels = node?.metadata.labels ?? {};
      // A cluster of one zone may go without labels.
      if (!KEYS.some((key) => labels[key] !== undefined)) return undefined;
      for (const { key, values } of (state.get(NAME) as readonly Zones[] | undefined) ?? []) {
        const value = labels[key] ?? labels[BETA[key] ?? key];
        if (value === undefined || !values.has(value)) return { reasons: [CONFLICT], isFinal: true };
      }
      return undefined;
    },
  };
}

function zonesOfPod(pod: Pod, view: Lookup): readonly Zones[] | string {
  const zones: Zones[] = [];
  for (const { persistentVolumeClaim: use } of pod.spec.volumes ?? []) {
    if (use === undefined) continue;
    if (use.claimName === "") return "PersistentVolumeClaim had no name";
    const claim = view.claim(pod.metadata.namespace ?? "", use.claimName);
    if (claim === undefined) return `persistentvolumeclaim "${use.claimName}" not found`;
    const volumeName = claim.spec?.volumeName ?? "";
    if (volumeName === "") {
      const problem = unboundProblem(claim, view);
      if (problem !== undefined) return problem;
      continue;
    }
    const volume = view.volume(volumeName);
    if (volume === undefined) return `persistentvolume "${volumeName}" not found`;
    zones.push(...zonesOf(volume));
  }
  return zones;
}

function unboundProblem(claim: PersistentVolumeClaim, view: Lookup): string | undefined {
  const className = classOfClaim(claim);
  if (className === "") return "PersistentVolumeClaim had no pv name and storageClass name";
  const storageClass = view.storageClass(className);
  if (storageClass === undefined) return `storageclass.storage.k8s.io "${className}" not found`;
  if (storageClass.volumeBindingMode === undefined) return `VolumeBindingMode not set for StorageClass "${className}"`;
  return storageClass.volumeBindingMode === "WaitForFirstConsumer" ? undefined : "PersistentVolume had no name";
}

/** `a__b`: in each of these; a label with an empty part says nothing. */
function zonesOf({ metadata }: PersistentVolume): readonly Zones[] {
  return KEYS.flatMap((key) => {
    const label = metadata.labels?.[key];
    if (label === undefined) return [];
    const values = label.split("__").map((zone) => zone.trim());
    return values.includes("") ? [] : [{ key, values: new Set(values) }];
  });
}

function mayBeInZoneNow(pod: Pod, { event, old, current }: ClusterChange): boolean {
  if (current === undefined) return true;
  switch (event) {
    case "storage-class-changed":
      return old === undefined && (current as StorageClass).volumeBindingMode === "WaitForFirstConsumer";
    case "volume-claim-changed": {
      const { namespace, name } = current.metadata as PersistentVolumeClaim["metadata"];
      if (namespace !== pod.metadata.namespace) return false;
      return (pod.spec.volumes ?? []).some((volume) => volume.persistentVolumeClaim?.claimName === name);
    }
    case "volume-changed":
      return old === undefined || !sameZones(zonesOf(old as PersistentVolume), zonesOf(current as PersistentVolume));
    default:
      return true;
  }
}

const sameZones = (a: readonly Zones[], b: readonly Zones[]): boolean => textOf(a) === textOf(b);
const textOf = (zones: readonly Zones[]): string =>
  zones.map(({ key, values }) => `${key}=${[...values].sort().join()}`).join(";");
