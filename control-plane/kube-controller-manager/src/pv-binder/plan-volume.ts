import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { quantityValue } from "@coracle/apimachinery";
import { isOfSameMode } from "@coracle/apimachinery/storage";
import { MIGRATED_TO, PROVISIONED_BY } from "./bindings.ts";

export type VolumePlan =
  /** All is well. */
  | { readonly action: "report"; readonly phase: "Available" | "Bound" }
  /** The claim is not bound yet: its own pass does that. */
  | { readonly action: "wake-claim" }
  /** One is a filesystem, the other a device: they never come together. */
  | { readonly action: "mismatch" }
  /** Its claim is gone, or bound elsewhere. */
  | { readonly action: "reclaim" }
  | { readonly action: "unbind" };

/** What to do about a volume; `claim` is the one that it is bound to, undefined when that is gone. */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | undefined): VolumePlan {
  const { claimRef, persistentVolumeReclaimPolicy } = volume.spec ?? {};
  if ((claimRef?.uid ?? "") === "") return { action: "report", phase: "Available" };
  if (claim === undefined) return { action: "reclaim" };
  const bound = claim.spec?.volumeName ?? "";
  if (bound === "") return { action: isOfSameMode(claim, volume) ? "wake-claim" : "mismatch" };
  if (bound === volume.metadata.name) return { action: "report", phase: "Bound" };
  const wasMade = volume.metadata.annotations?.[PROVISIONED_BY] !== undefined;
  return { action: wasMade && persistentVolumeReclaimPolicy === "Delete" ? "reclaim" : "unbind" };
}

/** What becomes of a released volume. */
export type ReclaimPlan =
  /** It is kept, or whoever made it takes it back. */
  | { readonly action: "leave" }
  | { readonly action: "recycle" }
  | { readonly action: "delete-path"; readonly path: string }
  | { readonly action: "fail"; readonly reason: string; readonly message: string };

const BUILT_IN = "kubernetes.io/";
const HOST_PATH = "kubernetes.io/host-path";
/** Built-in kinds that delete nothing. */
const DELETE_NONE: readonly string[] = ["kubernetes.io/nfs", "kubernetes.io/fc", "kubernetes.io/iscsi"];
/** Nothing else of the host is deleted. */
const DELETABLE = /^\/tmp\/.+/;

/** What to do with a volume whose claim is gone. */
export function planReclaim(volume: PersistentVolume): ReclaimPlan {
  const { metadata, spec } = volume;
  if ((metadata.annotations?.[MIGRATED_TO] ?? "") !== "") return { action: "leave" };
  switch (spec?.persistentVolumeReclaimPolicy) {
    case "Retain":
      return { action: "leave" };
    case "Recycle":
      if (spec.hostPath !== undefined || spec.nfs !== undefined) return { action: "recycle" };
      return { action: "fail", reason: "VolumeFailedRecycle", message: "No recycler plugin found for the volume!" };
    case "Delete":
      return planDeletion(volume);
    default: {
      const message = "Volume has unrecognized PersistentVolumeReclaimPolicy";
      return { action: "fail", reason: "VolumeUnknownReclaimPolicy", message };
    }
  }
}

function planDeletion({ metadata, spec }: PersistentVolume): ReclaimPlan {
  const failed = (message: string): ReclaimPlan => ({ action: "fail", reason: "VolumeFailedDelete", message });
  const maker = metadata.annotations?.[PROVISIONED_BY] ?? "";
  if (maker !== "" && !maker.startsWith(BUILT_IN)) return { action: "leave" };
  if (maker !== "" && maker !== HOST_PATH)
    return failed(
      DELETE_NONE.includes(maker) ? "no deletable volume plugin matched" : `no volume plugin matched name: ${maker}`,
    );
  if (spec?.csi !== undefined) return { action: "leave" };
  const path = spec?.hostPath?.path;
  if (path === undefined) {
    const isKnown = spec?.nfs !== undefined || spec?.fc !== undefined || spec?.iscsi !== undefined;
    const why = isKnown ? "no deletable volume plugin matched" : "no volume plugin matched";
    return failed(`error getting deleter volume plugin for volume "${metadata.name}": ${why}`);
  }
  if (!DELETABLE.test(path) || path.split("/").includes(".."))
    return failed(`host_path deleter only supports /tmp/.+ but received provided ${path}`);
  return { action: "delete-path", path };
}

/** How long a recycler may take. */
export interface RecyclerLimits {
  readonly minimumSeconds: number;
  readonly secondsPerGi: number;
}

const GI = 2 ** 30;

/** The pod that empties a volume. */
export function recyclerPod(volume: PersistentVolume, template: Pod, limits: RecyclerLimits): Pod {
  const size = Math.floor(quantityValue(volume.spec?.capacity?.["storage"]) / GI);
  const { hostPath, nfs } = volume.spec ?? {};
  const source =
    nfs === undefined ? { hostPath: { path: hostPath?.path ?? "" } } : { nfs: { server: nfs.server, path: nfs.path } };
  const [first, ...rest] = template.spec.volumes ?? [];
  return {
    ...template,
    metadata: { namespace: "default", ...template.metadata, name: recyclerName(volume) },
    spec: {
      ...template.spec,
      activeDeadlineSeconds: Math.max(limits.minimumSeconds, size * limits.secondsPerGi),
      volumes: [{ name: first?.name ?? "vol", ...source }, ...rest],
    },
  };
}

const RECYCLER = "recycler-for-";

/** The name of the pod that empties a volume. */
export const recyclerName = ({ metadata }: PersistentVolume): string => `${RECYCLER}${metadata.name}`;

/** The volume that a pod of this name empties. */
export const recycledVolume = (podName: string): string | undefined =>
  podName.startsWith(RECYCLER) ? podName.slice(RECYCLER.length) : undefined;

/** The recycler that is used unless another is given. */
export const defaultRecycler: Pod = {
  metadata: { namespace: "default" },
  spec: {
    activeDeadlineSeconds: 60,
    restartPolicy: "Never",
    volumes: [{ name: "vol" }],
    containers: [
      {
        name: "pv-recycler",
        image: "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6",
        command: ["/bin/sh"],
        args: ["-c", 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'],
        volumeMounts: [{ name: "vol", mountPath: "/scrub" }],
      },
    ],
  },
};
