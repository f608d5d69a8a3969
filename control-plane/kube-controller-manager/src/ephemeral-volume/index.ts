import { PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { foreignClaim } from "@coracle/apimachinery/storage";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  defineController,
  done,
  isNamespaceTerminating,
  mapped,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { podsByClaim } from "../pods/pod-claims.ts";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import { claimsToMake } from "./plan.ts";

const hasOwnVolumes = (pod: Pod): boolean =>
  pod.metadata.deletionTimestamp === undefined &&
  (pod.spec.volumes ?? []).some(({ ephemeral }) => ephemeral !== undefined);

/** Makes the claims for volumes that live and die with their pod. */
export function createEphemeralVolumeController(
  deps: ControllerDeps,
  workers: number,
  monitor: StorageMonitor,
): Controller {
  const { client, informers, recorder } = deps;
  const pods = informers.informer(Pod, { indexes: podsByClaim }).lister;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  return defineController<Pod>(deps, {
    name: "ephemeral-volume",
    for: Pod,
    changed: (pod, old) => old === undefined && hasOwnVolumes(pod), // volumes never change
    watches: [
      // Somebody deleted a claim: its pod may still need it.
      mapped(PersistentVolumeClaim, (claim, old) => {
        const key = cacheKeyOf(claim);
        if (old !== undefined || claims.byKey(key) !== undefined) return [];
        return pods.byIndex("claim", key).filter(hasOwnVolumes).map(cacheKeyOf);
      }),
    ],
    workers,
    async reconcile(key, { signal }) {
      const pod = pods.byKey(key);
      if (pod === undefined || !hasOwnVolumes(pod)) return done;
      for (const { volumeName, claim } of claimsToMake(pod)) {
        try {
          const seen = claims.byKey(cacheKeyOf(claim));
          const problem = seen === undefined ? undefined : foreignClaim(pod, seen);
          if (problem !== undefined) throw new Error(problem);
          if (seen === undefined) await make(claim, signal);
        } catch (error) {
          if (isNamespaceTerminating(error)) throw error;
          const message = `ephemeral volume ${volumeName}: ${(error as Error).message}`;
          recorder.event(referenceTo(Pod, pod), "Warning", "FailedBinding", message);
          throw error;
        }
      }
      return done;
    },
  });

  async function make(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    try {
      await monitor.ephemeralClaimMade(client.create(PersistentVolumeClaim, claim, { signal }));
    } catch (error) {
      if (isNamespaceTerminating(error)) throw error;
      throw new Error(`create PVC ${claim.metadata.name}: ${(error as Error).message}`, { cause: error });
    }
  }
}
