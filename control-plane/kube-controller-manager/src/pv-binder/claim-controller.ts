import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { classOfClaim, classOfVolume } from "@coracle/apimachinery/storage";
import { cacheKeyOf, type CacheKey, type Lister } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
  type ReconcileResult,
} from "@coracle/controller-kit";
import { podsByClaim } from "../pods/pod-claims.ts";
import { isFinished } from "../pods/pod-state.ts";
import { annealedClaim, claimFor, unboundStatus } from "./bindings.ts";
import type { PvBinderOptions } from "./index.ts";
import type { LatestObjects } from "./latest-objects.ts";
import { planClaim, type ClaimPlan, type ClaimView } from "./plan-claim.ts";
import type { StorageWriter } from "./storage-writer.ts";

/** What both halves of the binder look at. */
export interface Storage {
  readonly volumes: LatestObjects<PersistentVolume>;
  readonly claims: LatestObjects<PersistentVolumeClaim>;
  readonly classes: Lister<StorageClass>;
  readonly writer: StorageWriter;
}

/** The half that looks at claims; `wake` has one looked at. */
export interface ClaimController {
  readonly controller: Controller;
  readonly wake: (key: CacheKey) => void;
}

/** Binds each claim to a volume, or says what it waits for. */
export function createClaimController(
  deps: ControllerDeps,
  { volumes, claims, classes, writer }: Storage,
  options: Pick<PvBinderOptions, "syncPeriodMs" | "provisions" | "monitor">,
): ClaimController {
  const pods = deps.informers.informer(Pod, { indexes: podsByClaim }).lister;
  const unbound = deps.informers.informer(PersistentVolumeClaim).lister;
  const { clock } = deps;
  const { operations } = options.monitor;
  let enqueue: ((key: CacheKey) => void) | undefined;

  const view: ClaimView = {
    volume: (name) => volumes.byKey(name),
    volumesFor: (claim) => [
      ...volumes.byIndex("claimRef", cacheKeyOf(claim)),
      ...volumes.byIndex("freeOfClass", classOfClaim(claim)),
    ],
    storageClass: (name) => classes.byKey(name),
    storageClasses: () => classes.list(),
    unplacedPods: (claim) =>
      pods
        .byIndex("claim", cacheKeyOf(claim))
        .filter((pod) => !isFinished(pod) && (pod.spec.nodeName ?? "") === "")
        .map(({ metadata }) => metadata.name ?? ""),
  };

  /** Claims that a volume may serve now, or has left. */
  function claimsOf(volume: PersistentVolume): readonly CacheKey[] {
    const { name = "" } = volume.metadata;
    const ref = volume.spec?.claimRef;
    const asking = unbound.byIndex("unboundByVolume", name).map(cacheKeyOf);
    if (ref !== undefined) return [...asking, `${ref.namespace}/${ref.name}`];
    const className = classOfVolume(volume);
    // Those that wait for a pod are bound by the scheduler.
    const isTaken = classes.byKey(className)?.volumeBindingMode === "WaitForFirstConsumer";
    if (isTaken || volume.status?.phase !== "Available") return asking;
    return [...asking, ...unbound.byIndex("unboundOfClass", className).map(cacheKeyOf)];
  }

  /** Claims that wait for a class of this name, or for any that is the default. */
  function claimsWaitingFor({ metadata }: StorageClass): readonly CacheKey[] {
    return [metadata.name ?? "", ""].flatMap((name) => unbound.byIndex("unboundOfClass", name)).map(cacheKeyOf);
  }

  async function carryOut(
    claim: PersistentVolumeClaim,
    plan: ClaimPlan,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    switch (plan.action) {
      case "bind":
        await writer.bind(plan.volume, claim, signal);
        operations.finished(cacheKeyOf(claim), clock.now());
        return done;
      case "lose":
        if (claim.status?.phase === "Lost") return done;
        await writer.saveClaimStatus(unboundStatus(claim, "Lost"), claim, signal);
        writer.tellOfClaim(claim, plan.told);
        return done;
      case "give-class": {
        const spec = { ...claim.spec, storageClassName: plan.className };
        await options.monitor.classGiven(writer.saveClaim({ ...claim, spec }, claim, signal));
        return done;
      }
      case "provision":
        if (!options.provisions) return done;
        operations.begun(cacheKeyOf(claim), "provision", plan.provisioner, clock.now());
        await writer.saveClaim(claimFor(claim, plan.provisioner), claim, signal);
        writer.tellOfClaim(claim, plan.told);
        break;
      case "complain":
        writer.tellOfClaim(claim, plan.told);
        break;
      case "wait":
        if (plan.told !== undefined) writer.tellOfClaim(claim, plan.told);
        await writer.saveClaimStatus(unboundStatus(claim, "Pending"), claim, signal);
        break;
    }
    return requeueAfter(options.syncPeriodMs);
  }

  const controller = defineController<PersistentVolumeClaim>(deps, {
    name: "persistentvolume-binder-claims",
    for: PersistentVolumeClaim,
    changed: (claim) => claims.byKey(cacheKeyOf(claim)) === claim, // older than what we wrote: nothing new
    watches: [mapped(PersistentVolume, claimsOf), mapped(StorageClass, claimsWaitingFor)],
    workers: 1,
    started: (context) => (enqueue = context.enqueue),
    async reconcile(key, { signal }) {
      const found = claims.byKey(key);
      if (found === undefined) {
        operations.forget(key);
        return done;
      }
      const claim = await writer.saveClaim(annealedClaim(found), found, signal);
      return await carryOut(claim, planClaim(claim, view), signal);
    },
  });
  return { controller, wake: (key) => enqueue?.(key) };
}
