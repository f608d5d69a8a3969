import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { StorageClass } from "@coracle/api/storage/v1";
import { compareQuantities } from "@coracle/apimachinery";
import {
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  candidatesFor,
  classOfClaim,
  classOfVolume,
  driverOfPlugin,
  hasClass,
  hasModes,
  isMeantFor,
  isOfSameMode,
  requestOf,
  SELECTED_NODE,
  sizeOf,
} from "@coracle/apimachinery/storage";
import { instantOf } from "../time/timestamp.ts";
import { normal, warning, type Told } from "./told.ts";

/** What is known of the storage around a claim. */
export interface ClaimView {
  volume(name: string): PersistentVolume | undefined;
  /** At least those that name the claim, and those of its class that name none. */
  volumesFor(claim: PersistentVolumeClaim): readonly PersistentVolume[];
  storageClass(name: string): StorageClass | undefined;
  storageClasses(): readonly StorageClass[];
  /** Names of the pods that use the claim and have no node yet. */
  unplacedPods(claim: PersistentVolumeClaim): readonly string[];
}

export type ClaimPlan =
  | { readonly action: "bind"; readonly volume: PersistentVolume }
  /** Pending until something changes. */
  | { readonly action: "wait"; readonly told?: Told }
  /** For good: what it was bound to is not its own any more. */
  | { readonly action: "lose"; readonly told: Told }
  | { readonly action: "give-class"; readonly className: string }
  /** Its provisioner is told in the claim, and makes a volume or does not. */
  | { readonly action: "provision"; readonly provisioner: string; readonly told: Told }
  /** No volume can be made for it. */
  | { readonly action: "complain"; readonly told: Told };

const BUILT_IN = "kubernetes.io/";
const HOST_PATH = "kubernetes.io/host-path";
/** Built-in kinds that cannot make volumes. */
const MAKE_NONE: readonly string[] = [
  "kubernetes.io/nfs",
  "kubernetes.io/fc",
  "kubernetes.io/iscsi",
  "kubernetes.io/csi",
];
const DEFAULT_CLASS = [
  "storageclass.kubernetes.io/is-default-class",
  "storageclass.beta.kubernetes.io/is-default-class",
];

/** What to do about a claim. */
export function planClaim(claim: PersistentVolumeClaim, view: ClaimView): ClaimPlan {
  if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return planBoundClaim(claim, view);
  const wanted = claim.spec?.volumeName ?? "";
  return wanted === "" ? planFreeClaim(claim, view) : planClaimOn(claim, view.volume(wanted));
}

/** A claim that was bound once. */
function planBoundClaim(claim: PersistentVolumeClaim, view: ClaimView): ClaimPlan {
  const lost = (reason: string, message: string): ClaimPlan => ({ action: "lose", told: warning(reason, message) });
  const name = claim.spec?.volumeName ?? "";
  if (name === "")
    return lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
  const volume = view.volume(name);
  if (volume === undefined)
    return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
  const ref = volume.spec?.claimRef;
  if (ref === undefined || ref.uid === claim.metadata.uid) return { action: "bind", volume };
  return lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
}

/** A claim that names its volume. */
function planClaimOn(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): ClaimPlan {
  if (volume === undefined) return { action: "wait" };
  const { name } = volume.metadata;
  if (volume.spec?.claimRef === undefined) {
    const problem = whyUnfit(volume, claim);
    if (problem === undefined) return { action: "bind", volume };
    return { action: "wait", told: warning("VolumeMismatch", `Cannot bind to requested volume "${name}": ${problem}`) };
  }
  if (isMeantFor(volume, claim)) return { action: "bind", volume };
  const told = warning("FailedBinding", `volume "${name}" already bound to a different claim.`);
  // Whoever was bound by us and had the mark of it taken away stays as it is.
  const isOurs = claim.metadata.annotations?.[BOUND_BY_CONTROLLER] !== undefined;
  return isOurs ? { action: "complain", told } : { action: "wait", told };
}

/** Why a volume that a claim names cannot serve it. */
function whyUnfit(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  const { metadata, spec } = volume;
  if (metadata.deletionTimestamp !== undefined) return `the volume is marked for deletion "${metadata.name}"`;
  if (compareQuantities(sizeOf(spec?.capacity?.["storage"]), sizeOf(requestOf(claim))) < 0)
    return "requested PV is too small";
  if (classOfVolume(volume) !== classOfClaim(claim)) return "storageClassName does not match";
  if ((spec?.volumeAttributesClassName ?? "") !== (claim.spec?.volumeAttributesClassName ?? ""))
    return "volumeAttributesClassName does not match";
  if (!isOfSameMode(claim, volume)) return "incompatible volumeMode";
  if (!hasModes(claim, volume)) return "incompatible accessMode";
  return undefined;
}

/** A claim that takes any volume. */
function planFreeClaim(claim: PersistentVolumeClaim, view: ClaimView): ClaimPlan {
  const storageClass = view.storageClass(classOfClaim(claim));
  // The scheduler binds these, or says for which node to make a volume: it knows the pod.
  const waitsForPod = storageClass?.volumeBindingMode === "WaitForFirstConsumer";
  const volume = bestVolume(claim, view.volumesFor(claim), waitsForPod);
  if (volume !== undefined) return { action: "bind", volume };
  if (!hasClass(claim)) {
    const className = defaultClass(view.storageClasses())?.metadata.name;
    if (className !== undefined) return { action: "give-class", className };
  }
  if (waitsForPod && claim.metadata.annotations?.[SELECTED_NODE] === undefined)
    return { action: "wait", told: whyWaiting(view.unplacedPods(claim)) };
  if (classOfClaim(claim) !== "") return planProvisioning(claim, storageClass);
  const message = "no persistent volumes available for this claim and no storage class is set";
  return { action: "wait", told: normal("FailedBinding", message) };
}

function whyWaiting(pods: readonly string[]): Told {
  if (pods.length === 0)
    return normal("WaitForFirstConsumer", "waiting for first consumer to be created before binding");
  const subject = pods.length === 1 ? "pod" : "pods";
  return normal("WaitForPodScheduled", `waiting for ${subject} ${pods.join(",")} to be scheduled`);
}

/** Of the volumes with the fewest access modes that will do, the smallest. */
function bestVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  meantOnly: boolean,
): PersistentVolume | undefined {
  const byModes = new Map<string, PersistentVolume[]>();
  for (const volume of volumes) {
    if (!hasModes(claim, volume)) continue;
    const key = [...new Set(volume.spec?.accessModes ?? [])].sort().join();
    const group = byModes.get(key);
    if (group === undefined) byModes.set(key, [volume]);
    else group.push(volume);
  }
  const groups = [...byModes].sort(([a], [b]) => a.split(",").length - b.split(",").length);
  for (const [, group] of groups) {
    const { meant, fitting } = candidatesFor(claim, group);
    const found = meant ?? (meantOnly ? undefined : fitting[0]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The class that claims without one get: the newest of those marked. */
export function defaultClass(classes: readonly StorageClass[]): StorageClass | undefined {
  const age = ({ metadata }: StorageClass): number => instantOf(metadata.creationTimestamp) ?? 0;
  return classes
    .filter(({ metadata }) => DEFAULT_CLASS.some((key) => metadata.annotations?.[key] === "true"))
    .toSorted((a, b) => age(b) - age(a) || ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1))[0];
}

function planProvisioning(claim: PersistentVolumeClaim, storageClass: StorageClass | undefined): ClaimPlan {
  const failed = (message: string): ClaimPlan => ({
    action: "complain",
    told: warning("ProvisioningFailed", message),
  });
  if (storageClass === undefined) return failed(`storageclass.storage.k8s.io "${classOfClaim(claim)}" not found`);
  const { provisioner } = storageClass;
  const external = driverOfPlugin(provisioner) ?? (provisioner.startsWith(BUILT_IN) ? undefined : provisioner);
  if (external !== undefined) {
    const message =
      `Waiting for a volume to be created either by the external provisioner '${external}' or manually by the system ` +
      `administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
    return { action: "provision", provisioner: external, told: normal("ExternalProvisioning", message) };
  }
  if (provisioner === HOST_PATH) {
    const message = `Failed to create provisioner: provisioning in volume plugin "${HOST_PATH}" is disabled`;
    return { action: "provision", provisioner, told: warning("ProvisioningFailed", message) };
  }
  if (MAKE_NONE.includes(provisioner)) return failed("no provisionable volume plugin matched");
  return failed(`no volume plugin matched name: ${provisioner}`);
}
