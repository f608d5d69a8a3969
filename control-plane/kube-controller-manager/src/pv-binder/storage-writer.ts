import { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { equalJson } from "@coracle/apimachinery";
import { boundTo } from "@coracle/apimachinery/storage";
import { referenceTo } from "@coracle/client";
import type { ControllerDeps } from "@coracle/controller-kit";
import { boundStatus, claimBoundTo, unbound } from "./bindings.ts";
import type { LatestObjects } from "./latest-objects.ts";
import type { Told } from "./told.ts";

/** Writes claims and volumes, only where something changes, and tells users. */
export class StorageWriter {
  readonly #deps: Pick<ControllerDeps, "client" | "recorder">;
  readonly #volumes: LatestObjects<PersistentVolume>;
  readonly #claims: LatestObjects<PersistentVolumeClaim>;

  constructor(
    deps: Pick<ControllerDeps, "client" | "recorder">,
    volumes: LatestObjects<PersistentVolume>,
    claims: LatestObjects<PersistentVolumeClaim>,
  ) {
    this.#deps = deps;
    this.#volumes = volumes;
    this.#claims = claims;
  }

  async saveVolume(
    wanted: PersistentVolume,
    current: PersistentVolume,
    signal: AbortSignal,
  ): Promise<PersistentVolume> {
    if (wanted === current) return current;
    return this.#volumes.store(await this.#deps.client.update(PersistentVolume, wanted, { signal }));
  }

  async saveClaim(
    wanted: PersistentVolumeClaim,
    current: PersistentVolumeClaim,
    signal: AbortSignal,
  ): Promise<PersistentVolumeClaim> {
    if (wanted === current) return current;
    return this.#claims.store(await this.#deps.client.update(PersistentVolumeClaim, wanted, { signal }));
  }

  async saveClaimStatus(
    wanted: PersistentVolumeClaim,
    current: PersistentVolumeClaim,
    signal: AbortSignal,
  ): Promise<PersistentVolumeClaim> {
    if (wanted === current) return current;
    const options = { subresource: "status", signal };
    return this.#claims.store(await this.#deps.client.update(PersistentVolumeClaim, wanted, options));
  }

  /** Sets the phase; what is `told` is told only when that is new. */
  async savePhase(
    volume: PersistentVolume,
    phase: "Available" | "Bound" | "Released" | "Failed",
    signal: AbortSignal,
    told?: Told,
  ): Promise<PersistentVolume> {
    if (volume.status?.phase === phase) return volume;
    const { message: _, ...kept } = volume.status ?? {};
    const status = { ...kept, phase, ...(told === undefined ? {} : { message: told.message }) };
    const options = { subresource: "status", signal };
    const saved = this.#volumes.store(await this.#deps.client.update(PersistentVolume, { ...volume, status }, options));
    if (told !== undefined) this.tellOfVolume(saved, told);
    return saved;
  }

  /** Both sides, the volume first: whoever comes between finds out by it. */
  async bind(volume: PersistentVolume, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    const wanted = boundTo(volume, claim);
    const isSame =
      equalJson(wanted.spec?.claimRef, volume.spec?.claimRef) &&
      equalJson(wanted.metadata.annotations, volume.metadata.annotations);
    const saved = await this.saveVolume(isSame ? volume : wanted, volume, signal);
    const bound = await this.savePhase(saved, "Bound", signal);
    const savedClaim = await this.saveClaim(claimBoundTo(claim, bound), claim, signal);
    await this.saveClaimStatus(boundStatus(savedClaim, bound), savedClaim, signal);
  }

  async unbind(volume: PersistentVolume, signal: AbortSignal): Promise<void> {
    const saved = await this.saveVolume(unbound(volume), volume, signal);
    await this.savePhase(saved, "Available", signal);
  }

  tellOfVolume(volume: PersistentVolume, { type, reason, message }: Told): void {
    this.#deps.recorder.event(referenceTo(PersistentVolume, volume), type, reason, message);
  }

  tellOfClaim(claim: PersistentVolumeClaim, { type, reason, message }: Told): void {
    this.#deps.recorder.event(referenceTo(PersistentVolumeClaim, claim), type, reason, message);
  }
}
