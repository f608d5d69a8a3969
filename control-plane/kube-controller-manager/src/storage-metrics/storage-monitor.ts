import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";
import { classOfClaim } from "@coracle/apimachinery/storage";
import { Counter, Gauge, Histogram } from "@coracle/base";
import type { Lister } from "@coracle/client";
import { adminAccessOf, countedBy, pluginOf, sourceOf } from "./labels.ts";
import { VolumeOperations } from "./volume-operations.ts";

type Row = readonly [values: readonly string[], value: number];

/** Why a volume was taken from a node that may still use it. */
export type ForcedDetach = "timeout" | "out-of-service";

const EVICTION_SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];

/** What the controllers of volumes and devices count of themselves, under upstream's names. */
export class StorageMonitor {
  readonly operations = new VolumeOperations();
  #volumes: Lister<PersistentVolume> | undefined;
  #claims: Lister<PersistentVolumeClaim> | undefined;
  #resourceClaims: Lister<ResourceClaim> | undefined;

  readonly #volumeCount = new Gauge(
    "pv_collector_total_pv_count",
    "[ALPHA] Gauge measuring total number of persistent volumes",
    ["plugin_name", "volume_mode"],
    () => counted(this.#volumes, (each) => [pluginOf(each), each.spec?.volumeMode ?? "Filesystem"]),
  );
  readonly #boundVolumes = this.#volumesThat("bound", true);
  readonly #unboundVolumes = this.#volumesThat("unbound", false);
  readonly #boundClaims = this.#claimsThat("bound", true);
  readonly #unboundClaims = this.#claimsThat("unbound", false);
  readonly #classesGiven = new Counter(
    "retroactive_storageclass_total",
    "[ALPHA] Total number of retroactive StorageClass assignments to persistent volume claim",
  );
  readonly #classesNotGiven = new Counter(
    "retroactive_storageclass_errors_total",
    "[ALPHA] Total number of failed retroactive StorageClass assignments to persistent volume claim",
  );
  readonly #ephemeralClaims = new Counter(
    "ephemeral_volume_controller_create_total",
    "[ALPHA] Number of PersistentVolumeClaim creation requests",
  );
  readonly #ephemeralFailures = new Counter(
    "ephemeral_volume_controller_create_failures_total",
    "[ALPHA] Number of PersistentVolumeClaim creation requests",
  );
  readonly #forcedDetaches = new Counter(
    "attach_detach_controller_attachdetach_controller_forced_detaches",
    "[ALPHA] Number of times the A/D Controller performed a forced detach",
    ["reason"],
  );
  readonly #resourceClaimsMade = new Counter(
    "resourceclaim_controller_creates_total",
    "[ALPHA] Number of ResourceClaims creation requests, categorized by creation status and admin access",
    ["status", "admin_access"],
  );
  readonly #resourceClaimCount = new Gauge(
    "resourceclaim_controller_resource_claims",
    "[ALPHA] Number of ResourceClaims, categorized by allocation status, admin access, and source. Source can be 'resource_claim_template' (created from a template), 'extended_resource' (extended resources), or empty (manually created by a user).",
    ["allocated", "admin_access", "source"],
    () =>
      counted(this.#resourceClaims, (claim) => [
        String(claim.status?.allocation !== undefined),
        adminAccessOf(claim),
        sourceOf(claim),
      ]),
  );
  readonly #evictions = new Counter(
    "device_taint_eviction_controller_pod_deletions_total",
    "[ALPHA] Total number of Pods deleted by DeviceTaintEvictionController since its start.",
  );
  readonly #evictionSeconds = new Histogram(
    "device_taint_eviction_controller_pod_deletion_duration_seconds",
    "[ALPHA] Latency, in seconds, between the time when a device taint effect has been activated and a Pod's deletion via DeviceTaintEvictionController.",
    EVICTION_SECONDS,
  );

  /** How many there are is looked up there. */
  watchVolumes(volumes: Lister<PersistentVolume>, claims: Lister<PersistentVolumeClaim>): void {
    this.#volumes = volumes;
    this.#claims = claims;
  }

  /** How many there are is looked up there. */
  watchResourceClaims(claims: Lister<ResourceClaim>): void {
    this.#resourceClaims = claims;
  }

  /** Counts a claim that was given the default class, or was not. */
  async classGiven<T>(attempt: Promise<T>): Promise<T> {
    this.#classesGiven.add(1);
    return await orCount(attempt, () => this.#classesNotGiven.add(1));
  }

  /** Counts a claim made for a volume that lives with its pod, or not made. */
  async ephemeralClaimMade<T>(attempt: Promise<T>): Promise<T> {
    this.#ephemeralClaims.add(1);
    return await orCount(attempt, () => this.#ephemeralFailures.add(1));
  }

  /** Counts a claim made from a template, or not made. */
  async resourceClaimMade(wanted: ResourceClaim, attempt: Promise<ResourceClaim>): Promise<ResourceClaim> {
    const access = adminAccessOf(wanted);
    const made = await orCount(attempt, () => this.#resourceClaimsMade.add(1, "failure", access));
    this.#resourceClaimsMade.add(1, "success", access);
    return made;
  }

  forcedDetach(reason: ForcedDetach): void {
    this.#forcedDetaches.add(1, reason);
  }

  /** A pod was deleted so long after it was to go. */
  evicted(lateMs: number): void {
    this.#evictions.add(1);
    this.#evictionSeconds.observe(lateMs / 1000);
  }

  text(): string {
    const all = [
      this.#volumeCount,
      this.#boundVolumes,
      this.#unboundVolumes,
      this.#boundClaims,
      this.#unboundClaims,
      this.#classesGiven,
      this.#classesNotGiven,
      this.#ephemeralClaims,
      this.#ephemeralFailures,
      this.#forcedDetaches,
      this.#resourceClaimsMade,
      this.#resourceClaimCount,
      this.#evictions,
      this.#evictionSeconds,
    ];
    return all.map((each) => each.text()).join("") + this.operations.text();
  }

  #volumesThat(state: string, isBound: boolean): Gauge {
    return new Gauge(
      `pv_collector_${state}_pv_count`,
      `[ALPHA] Gauge measuring number of persistent volume currently ${state}`,
      ["storage_class"],
      () =>
        counted(this.#volumes, ({ spec, status }) =>
          (status?.phase === "Bound") === isBound ? [spec?.storageClassName ?? ""] : undefined,
        ),
    );
  }

  #claimsThat(state: string, isBound: boolean): Gauge {
    return new Gauge(
      `pv_collector_${state}_pvc_count`,
      `[ALPHA] Gauge measuring number of persistent volume claim currently ${state}`,
      ["namespace", "storage_class", "volume_attributes_class"],
      () =>
        counted(this.#claims, (claim) =>
          (claim.status?.phase === "Bound") === isBound
            ? [claim.metadata.namespace ?? "", classOfClaim(claim), claim.spec?.volumeAttributesClassName ?? ""]
            : undefined,
        ),
    );
  }
}

/** How many objects have which labels; those without are not counted. */
const counted = <T>(
  objects: Lister<T> | undefined,
  labelsOf: (object: T) => readonly string[] | undefined,
): readonly Row[] => countedBy(objects?.list() ?? [], labelsOf);

async function orCount<T>(attempt: Promise<T>, count: () => void): Promise<T> {
  try {
    return await attempt;
  } catch (error) {
    count();
    throw error;
  }
}
