import { CSIDriver } from "@coracle/api/storage/v1";
import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { claimUseOf } from "@coracle/apimachinery/storage";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { podsByClaim } from "../pods/pod-claims.ts";
import { isFinished } from "../pods/pod-state.ts";
import {
  canMountLabelled,
  conflictMessage,
  conflictsOf,
  labelledVolume,
  labelWanted,
  volumeLabel,
  type LabelledVolume,
  type VolumeLabel,
} from "./plan.ts";

/** Tells pods that share a volume, and would want it labelled differently, that one node cannot serve both. */
export function createSELinuxWarningController(deps: ControllerDeps, metrics?: ControllerMetrics): Controller {
  const { informers, recorder } = deps;
  const pods = informers.informer(Pod, { indexes: podsByClaim }).lister;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const volumes = informers.informer(PersistentVolume).lister;
  const drivers = informers.informer(CSIDriver).lister;
  /** Volume → pods that use it, and how. */
  const users = new Map<string, { readonly driver: string | undefined; readonly pods: Map<string, VolumeLabel> }>();

  function forget(key: string): void {
    for (const [id, volume] of users) if (volume.pods.delete(key) && volume.pods.size === 0) users.delete(id);
  }

  /** The volumes of a pod that may be labelled, by their names in the pod; what is not bound yet comes later. */
  function volumesOf(pod: Pod): ReadonlyMap<string, LabelledVolume> {
    const found = new Map<string, LabelledVolume>();
    const add = (name: string, volume: LabelledVolume | undefined): void =>
      volume === undefined ? undefined : void found.set(name, volume);
    for (const volume of pod.spec.volumes ?? []) {
      const use = claimUseOf(pod, volume);
      if (use === undefined) {
        add(volume.name, labelledVolume(volume));
        continue;
      }
      const { volumeName } = claims.get(pod.metadata.namespace, use.name)?.spec ?? {};
      const source = volumeName === undefined ? undefined : volumes.byKey(volumeName)?.spec;
      if (source !== undefined) add(volume.name, labelledVolume(source));
    }
    return found;
  }

  function note(key: string, { id, driver }: LabelledVolume, label: VolumeLabel): void {
    const volume = users.get(id) ?? { driver, pods: new Map<string, VolumeLabel>() };
    users.set(id, volume);
    const before = volume.pods.get(key);
    if (before?.label === label.label && before.changePolicy === label.changePolicy) return;
    volume.pods.set(key, label);
    for (const conflict of conflictsOf(key, volume.pods)) {
      const told = pods.byKey(conflict.pod);
      if (told === undefined) continue;
      recorder.event(referenceTo(Pod, told), "Normal", `${conflict.property}Conflict`, conflictMessage(conflict));
    }
  }

  metrics?.watchLabelConflicts(() =>
    [...users.values()].flatMap((volume) =>
      // From both sides: each pod's own ones are told to it first.
      [...volume.pods.keys()].flatMap((key) => conflictsOf(key, volume.pods).filter(({ pod }) => pod === key)),
    ),
  );

  return defineController<Pod>(deps, {
    name: "selinux-warning",
    for: Pod,
    changed: (pod, old) => old === undefined || (isFinished(pod) && !isFinished(old)),
    watches: [
      mapped(PersistentVolumeClaim, (claim, old) => {
        const isBoundAnew = claim.spec?.volumeName !== undefined && claim.spec.volumeName !== old?.spec?.volumeName;
        return isBoundAnew ? pods.byIndex("claim", cacheKeyOf(claim)).map(cacheKeyOf) : [];
      }),
      mapped(PersistentVolume, (volume, old) => {
        const { uid, namespace, name } = volume.spec?.claimRef ?? {};
        if (uid === undefined || old?.spec?.claimRef?.uid === uid) return [];
        return pods.byIndex("claim", `${namespace}/${name}`).map(cacheKeyOf);
      }),
      mapped(CSIDriver, (driver, old) => {
        if (old !== undefined && canMountLabelled(old) === canMountLabelled(driver)) return [];
        const theirs = [...users.values()].filter((volume) => volume.driver === driver.metadata.name);
        return theirs.flatMap((volume) => [...volume.pods.keys()]);
      }),
    ],
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod === undefined || isFinished(pod)) {
        forget(key);
        return done;
      }
      const mounted = new Set(
        [...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])].flatMap(
          ({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name),
        ),
      );
      for (const [name, volume] of volumesOf(pod)) {
        if (!mounted.has(name)) continue;
        const wanted = labelWanted(pod, name);
        if (wanted === undefined) {
          const message = `Volume ${JSON.stringify(name)} is mounted twice with different SELinux labels inside this pod`;
          recorder.event(referenceTo(Pod, pod), "Warning", "MultipleSELinuxLabels", message);
          continue;
        }
        const canMount = volume.driver === undefined || canMountLabelled(drivers.byKey(volume.driver));
        note(key, volume, volumeLabel(pod, wanted, canMount));
      }
      return done;
    },
  });
}
