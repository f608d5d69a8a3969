import type { NodeSelectorTerm, PersistentVolume, PersistentVolumeSpec } from "@coracle/api/core/v1";
import {
  equalJson,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, pushInvalid } from "../validation/field-values.ts";
import { dns1123Subdomain } from "../validation/names.ts";
import { ACCESS_MODES, validatePositiveQuantity, VOLUME_MODES } from "../validation/persistent-volume-claim-spec.ts";
import { defaultVolumeSource, objectIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { quantityNanos } from "../validation/quantity.ts";
import { validateNodeSelector } from "../validation/pod-scheduling.ts";
import { formatTime } from "../../registry/object-meta.ts";
import { keepAllButStatus, keepStatus } from "../validation/status.ts";
import {
  validateDriverName,
  validateHostPath,
  validateIscsi,
  validateNfs,
  validatePathNoBacksteps,
} from "../validation/volumes.ts";

const SOURCES = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "flocker",
  "nfs",
  "rbd",
  "quobyte",
  "cephfs",
  "iscsi",
  "cinder",
  "fc",
  "flexVolume",
  "azureFile",
  "vsphereVolume",
  "photonPersistentDisk",
  "portworxVolume",
  "azureDisk",
  "scaleIO",
  "local",
  "storageos",
  "csi",
] as const;

function validateSource(errors: FieldError[], spec: Decoded<PersistentVolumeSpec>): void {
  let count = 0;
  for (const source of SOURCES) {
    if (spec[source] === undefined) continue;
    count++;
    const path = `spec.${source}`;
    if (count > 1) {
      errors.push(forbiddenField(path, "may not specify more than 1 volume type"));
      continue;
    }
    if (spec.hostPath !== undefined && source === "hostPath") validateHostPath(errors, path, spec.hostPath);
    else if (spec.nfs !== undefined && source === "nfs") validateNfs(errors, path, spec.nfs);
    else if (spec.iscsi !== undefined && source === "iscsi")
      validateIscsi(errors, path, { ...spec.iscsi, secretRef: undefined });
    else if (spec.local !== undefined && source === "local") {
      if (text(spec.local.path) === "") errors.push(required(`${path}.path`));
      else validatePathNoBacksteps(errors, `${path}.path`, text(spec.local.path));
    } else if (spec.csi !== undefined && source === "csi") {
      validateDriverName(errors, `${path}.driver`, text(spec.csi.driver));
      if (text(spec.csi.volumeHandle) === "") errors.push(required(`${path}.volumeHandle`));
    }
  }
  if (count === 0) errors.push(required("spec", "must specify a volume type"));
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<PersistentVolume>(object).spec ?? {};
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) errors.push(required("spec.accessModes"));
  for (const mode of modes)
    if (!ACCESS_MODES.includes(mode)) errors.push(notSupported("spec.accessModes", mode, ACCESS_MODES));
  if (modes.includes("ReadWriteOncePod") && modes.length > 1)
    errors.push(forbiddenField("spec.accessModes", "may not use ReadWriteOncePod with other access modes"));
  const capacity = spec.capacity ?? {};
  if (Object.keys(capacity).length === 0) errors.push(required("spec.capacity"));
  if (capacity["storage"] === undefined || Object.keys(capacity).length > 1)
    errors.push(notSupported("spec.capacity", Object.keys(capacity).length === 0 ? null : capacity, ["storage"]));
  for (const [name, value] of Object.entries(capacity)) {
    const whole = quantityNanos(value) / 1_000_000_000n;
    if (whole < 0n)
      errors.push(invalidValue(`spec.capacity[${name}]`, Number(whole), "must be a valid resource quantity"));
    validatePositiveQuantity(errors, `spec.capacity[${name}]`, value);
  }
  if (text(spec.persistentVolumeReclaimPolicy) !== "")
    oneOf(errors, "spec.persistentVolumeReclaimPolicy", spec.persistentVolumeReclaimPolicy, [
      "Delete",
      "Recycle",
      "Retain",
    ]);
  if (spec.nodeAffinity !== undefined) {
    if (spec.nodeAffinity.required === undefined)
      errors.push(required("spec.nodeAffinity.required", "must specify required node constraints"));
    else validateNodeSelector(errors, "spec.nodeAffinity.required", spec.nodeAffinity.required);
  } else if (spec.local !== undefined) {
    errors.push(required("spec.nodeAffinity", "Local volume requires node affinity"));
  }
  validateSource(errors, spec);
  if (
    spec.hostPath?.path !== undefined &&
    spec.hostPath.path.replaceAll(/\/+/g, "/") === "/" &&
    spec.persistentVolumeReclaimPolicy === "Recycle"
  )
    errors.push(
      forbiddenField("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"),
    );
  if (text(spec.storageClassName) !== "")
    pushInvalid(errors, "spec.storageClassName", spec.storageClassName, dns1123Subdomain(text(spec.storageClassName)));
  if (spec.volumeMode !== undefined) oneOf(errors, "spec.volumeMode", spec.volumeMode, VOLUME_MODES);
  const annotations = as<PersistentVolume>(object).metadata?.annotations;
  if (annotations?.[MOUNT_OPTIONS] !== undefined && !MOUNTED_WITH_OPTIONS.some((source) => spec[source] !== undefined))
    errors.push(
      forbiddenField(`metadata.annotations.${MOUNT_OPTIONS}`, "may not specify mount options for this volume type"),
    );
  return errors;
}

const MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options";
const MOUNTED_WITH_OPTIONS = [
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "glusterfs",
  "nfs",
  "rbd",
  "quobyte",
  "iscsi",
  "cinder",
  "cephfs",
  "azureFile",
  "vsphereVolume",
  "azureDisk",
  "photonPersistentDisk",
] as const;

const STABLE_KEYS: Readonly<Record<string, string>> = {
  "beta.kubernetes.io/arch": "kubernetes.io/arch",
  "beta.kubernetes.io/os": "kubernetes.io/os",
  "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
  "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
};

type Affinity = Decoded<PersistentVolumeSpec>["nodeAffinity"];

type Term = Decoded<NodeSelectorTerm>;

/** Keys without a stable form count as one with none: upstream takes that for a change it allows. */
function withKeysOf(list: "matchExpressions" | "matchFields", term: Term, before: Term | undefined): Term {
  const requirements = term[list];
  if (requirements === undefined) return {};
  return {
    [list]: requirements.map((requirement, i) => {
      const key = before?.[list]?.[i]?.key;
      if (key === undefined || (STABLE_KEYS[key] ?? "") !== text(requirement.key)) return requirement;
      return { ...requirement, key };
    }),
  };
}

/** The affinity with the keys it had before, where they are those of the same labels before they were stable. */
function withStableKeys(affinity: Affinity, before: Affinity): Affinity {
  const terms = affinity?.required?.nodeSelectorTerms;
  const old = before?.required?.nodeSelectorTerms;
  if (terms === undefined || old === undefined) return affinity;
  const nodeSelectorTerms = terms.map((term, i) => ({
    ...term,
    ...withKeysOf("matchExpressions", term, old[i]),
    ...withKeysOf("matchFields", term, old[i]),
  }));
  return { ...affinity, required: { ...affinity?.required, nodeSelectorTerms } };
}

const sourceOf = (spec: Decoded<PersistentVolumeSpec> | undefined): unknown =>
  SOURCES.map((source) => spec?.[source] ?? null);

export const persistentVolume: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "persistentvolumes",
  kind: "PersistentVolume",
  defaults(draft) {
    setDefault(draft, "spec", {});
    setDefault(draft, "status", {});
    const status = objectIn(draft, "status");
    if (status !== undefined) setDefaultText(status, "phase", "Pending");
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefaultText(spec, "persistentVolumeReclaimPolicy", "Retain");
    setDefault(spec, "volumeMode", "Filesystem");
    defaultVolumeSource(spec);
  },
  prepareForCreate(draft, { clock }) {
    draft["status"] = { phase: "Pending", lastPhaseTransitionTime: formatTime(clock.now()) };
  },
  validate,
  update: {
    prepare: keepStatus,
    validate(object, old) {
      // The whole check is run a second time on updates, and its errors count twice.
      const errors = validate(object);
      const spec = as<PersistentVolume>(object).spec;
      const before = as<PersistentVolume>(old).spec;
      if (!equalJson(sourceOf(spec), sourceOf(before)))
        errors.push(
          forbiddenField("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"),
        );
      if (!equalJson(spec?.volumeMode, before?.volumeMode))
        errors.push(invalidValue("volumeMode", spec?.volumeMode, "field is immutable"));
      if (
        before?.nodeAffinity !== undefined &&
        !equalJson(withStableKeys(spec?.nodeAffinity, before.nodeAffinity), before.nodeAffinity)
      )
        errors.push(
          invalidValue(
            "nodeAffinity",
            spec?.nodeAffinity,
            "field is immutable, except for updating from beta label to GA",
          ),
        );
      return errors;
    },
  },
  subresources: {
    status: {
      prepare(draft, old, { clock }) {
        keepAllButStatus(draft, old);
        const status = objectIn(draft, "status");
        const before = as<PersistentVolume>(old).status;
        if (status === undefined) return;
        const isTold = status["lastPhaseTransitionTime"] !== undefined;
        if (status["phase"] === before?.phase) {
          if (!isTold && before?.lastPhaseTransitionTime !== undefined)
            status["lastPhaseTransitionTime"] = before.lastPhaseTransitionTime;
        } else if (!isTold || status["lastPhaseTransitionTime"] === before?.lastPhaseTransitionTime)
          status["lastPhaseTransitionTime"] = formatTime(clock.now());
      },
    },
  },
};
