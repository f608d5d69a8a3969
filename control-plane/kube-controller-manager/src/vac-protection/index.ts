import { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { VolumeAttributesClass } from "@coracle/api/storage/v1";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";

const FINALIZER = "kubernetes.io/vac-protection";

/** The classes that a claim asks for, has, or is on its way to. */
export function classesOfClaim({ spec, status }: PersistentVolumeClaim): readonly string[] {
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ];
  return [...new Set(names.filter((name) => name !== undefined && name !== ""))] as string[];
}

const classesOfVolume = ({ spec }: PersistentVolume): readonly string[] =>
  (spec?.volumeAttributesClassName ?? "") === "" ? [] : [spec?.volumeAttributesClassName as string];

/** Lets a deleted class of volume attributes go once no volume and no claim has it. */
export function createVacProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const classes = informers.informer(VolumeAttributesClass).lister;
  const ofClaims = { indexes: { attributesClass: classesOfClaim } };
  const ofVolumes = { indexes: { attributesClass: classesOfVolume } };
  const claims = informers.informer(PersistentVolumeClaim, ofClaims).lister;
  const volumes = informers.informer(PersistentVolume, ofVolumes).lister;
  return defineController<VolumeAttributesClass>(deps, {
    name: "vac-protection",
    for: VolumeAttributesClass,
    watches: [
      mapped(PersistentVolumeClaim, (claim, old) => classesOfClaim(old ?? claim), ofClaims),
      mapped(PersistentVolume, (volume, old) => classesOfVolume(old ?? volume), ofVolumes),
    ],
    workers: 1,
    async reconcile(name, { signal }) {
      const found = classes.byKey(name);
      if (found === undefined) return done;
      const { deletionTimestamp, finalizers = [] } = found.metadata;
      const isProtected = finalizers.includes(FINALIZER);
      if (deletionTimestamp === undefined ? isProtected : !isProtected) return done;
      if (deletionTimestamp !== undefined) {
        const isUsed =
          volumes.byIndex("attributesClass", name).length > 0 || claims.byIndex("attributesClass", name).length > 0;
        if (isUsed) return done;
      }
      const wanted =
        deletionTimestamp === undefined ? [...finalizers, FINALIZER] : finalizers.filter((one) => one !== FINALIZER);
      await client.update(
        VolumeAttributesClass,
        { ...found, metadata: { ...found.metadata, finalizers: wanted } },
        { signal },
      );
      return done;
    },
  });
}
