import type { StatefulSet, StatefulSetSpec } from "@coracle/api/apps/v1";
import type { PodTemplateSpec, Volume } from "@coracle/api/core/v1";
import { forbiddenField, invalidValue, required, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import {
  intOrPercentNumber,
  nonNegative,
  nonNegativeIntOrPercent,
  notOver100Percent,
  oneOf,
  pushInvalid,
} from "../validation/field-values.ts";
import { dns1123Label, nameIsDns1123Label } from "../validation/names.ts";
import { validateClaimSpec } from "../validation/persistent-volume-claim-spec.ts";
import { defaultPodTemplate, objectIn, objectsIn, setDefault, setDefaultText } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import {
  changedOutside,
  freshStatus,
  validateRestart,
  validateWorkloadSelector,
  validateWorkloadTemplate,
} from "../validation/workload.ts";

const MUTABLE = [
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
];

/** The template as its pods will be: each claim template is a volume, which replaces one of the same name. */
function withClaimVolumes(spec: Decoded<StatefulSetSpec>): Decoded<PodTemplateSpec> | undefined {
  const claims = (spec.volumeClaimTemplates ?? []).filter(
    (claim, i, all) => all.findIndex((other) => text(other.metadata?.name) === text(claim.metadata?.name)) === i,
  );
  if (claims.length === 0) return spec.template;
  const volumes: Decoded<Volume>[] = claims.map((claim) => ({
    name: text(claim.metadata?.name),
    persistentVolumeClaim: { claimName: text(claim.metadata?.name) },
  }));
  const names = new Set(volumes.map((v) => v.name));
  for (const volume of spec.template?.spec?.volumes ?? []) if (!names.has(text(volume.name))) volumes.push(volume);
  return { ...spec.template, spec: { ...spec.template?.spec, volumes } };
}

/** Names of hosts are each pod's own: those of the template are not looked at. */
function asPodsWillBe(spec: Decoded<StatefulSetSpec>): Decoded<PodTemplateSpec> | undefined {
  const template = withClaimVolumes(spec);
  if (template?.spec === undefined) return template;
  return { ...template, spec: { ...template.spec, hostname: undefined, subdomain: undefined } };
}

type Rolling = NonNullable<NonNullable<Decoded<StatefulSetSpec>["updateStrategy"]>["rollingUpdate"]>;

function validateRolling(errors: FieldError[], path: string, { partition, maxUnavailable }: Rolling): void {
  nonNegative(errors, `${path}.partition`, partition);
  if (maxUnavailable === undefined) return;
  nonNegativeIntOrPercent(errors, `${path}.maxUnavailable`, maxUnavailable);
  if (intOrPercentNumber(maxUnavailable) === 0)
    errors.push(invalidValue(`${path}.maxUnavailable`, maxUnavailable, "cannot be 0"));
  notOver100Percent(errors, `${path}.maxUnavailable`, maxUnavailable);
}

function validateStrategy(errors: FieldError[], spec: Decoded<StatefulSetSpec>): void {
  const path = "spec.updateStrategy";
  const strategy = spec.updateStrategy;
  switch (strategy?.type) {
    case undefined:
    case "":
      errors.push(required(path));
      break;
    case "OnDelete":
      if (strategy.rollingUpdate !== undefined)
        errors.push(
          invalidValue(
            `${path}.rollingUpdate`,
            strategy.rollingUpdate,
            "only allowed for updateStrategy 'RollingUpdate'",
          ),
        );
      break;
    case "RollingUpdate":
      if (strategy.rollingUpdate !== undefined)
        validateRolling(errors, `${path}.rollingUpdate`, strategy.rollingUpdate);
      break;
    default:
      errors.push(invalidValue(path, strategy, "must be 'RollingUpdate' or 'OnDelete'"));
  }
}

/** Claim templates are checked once: stored ones may be from before a rule. */
function validate(object: ApiObject, isNew: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<StatefulSet>(object).spec ?? {};
  const management = text(spec.podManagementPolicy);
  if (management === "") errors.push(required("spec.podManagementPolicy"));
  else if (management !== "OrderedReady" && management !== "Parallel")
    errors.push(invalidValue("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'"));
  validateStrategy(errors, spec);
  const retention = spec.persistentVolumeClaimRetentionPolicy;
  if (retention !== undefined) {
    for (const when of ["whenDeleted", "whenScaled"] as const)
      oneOf(errors, `spec.persistentVolumeClaimRetentionPolicy.${when}`, retention[when], ["Retain", "Delete"]);
  }
  if (isNew)
    spec.volumeClaimTemplates?.forEach((claim, i) =>
      validateClaimSpec(errors, `spec.volumeClaimTemplates[${i}].spec`, claim.spec ?? {}),
    );
  nonNegative(errors, "spec.replicas", spec.replicas);
  nonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
  if (spec.ordinals !== undefined) nonNegative(errors, "spec.ordinals.start", spec.ordinals.start);
  const serviceName = text(spec.serviceName);
  if (isNew && serviceName !== "") pushInvalid(errors, "spec.serviceName", serviceName, dns1123Label(serviceName));
  if (
    validateWorkloadSelector(errors, "spec.selector", spec.selector, "empty selector is invalid for statefulset", "")
  ) {
    validateWorkloadTemplate(errors, "spec.template", asPodsWillBe(spec), spec.selector, "StatefulSet");
  } else validateRestart(errors, "spec.template", spec.template, "StatefulSet");
  return errors;
}

const newStatus = freshStatus({ replicas: 0, availableReplicas: 0 });

const rollingOf = (object: ApiDraft | ApiObject): Draft | undefined =>
  objectIn(objectIn(objectIn(object as ApiDraft, "spec"), "updateStrategy"), "rollingUpdate");

/** The field of a feature that is off is not kept. */
function dropMaxUnavailable(draft: ApiDraft): void {
  const rolling = rollingOf(draft);
  if (rolling !== undefined) delete rolling["maxUnavailable"];
}

export const statefulSet: ResourceDefinition = {
  group: "apps",
  version: "v1",
  plural: "statefulsets",
  kind: "StatefulSet",
  validateName: nameIsDns1123Label,
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefaultText(spec, "podManagementPolicy", "OrderedReady");
    setDefault(spec, "updateStrategy", {});
    const strategy = objectIn(spec, "updateStrategy");
    if (strategy !== undefined) {
      if ((strategy["type"] ?? "") === "") {
        strategy["type"] = "RollingUpdate";
        setDefault(strategy, "rollingUpdate", {});
      }
      const rolling = objectIn(strategy, "rollingUpdate");
      if (strategy["type"] === "RollingUpdate" && rolling !== undefined) setDefault(rolling, "partition", 0);
    }
    setDefault(spec, "persistentVolumeClaimRetentionPolicy", {});
    const retention = objectIn(spec, "persistentVolumeClaimRetentionPolicy");
    if (retention !== undefined) {
      setDefaultText(retention, "whenDeleted", "Retain");
      setDefaultText(retention, "whenScaled", "Retain");
    }
    setDefault(spec, "replicas", 1);
    setDefault(spec, "revisionHistoryLimit", 10);
    for (const claim of objectsIn(spec, "volumeClaimTemplates")) {
      setDefault(claim, "kind", "PersistentVolumeClaim");
      setDefault(claim, "apiVersion", "v1");
      setDefault(claim, "spec", {});
      setDefault(claim, "status", {});
      const status = objectIn(claim, "status");
      if (status !== undefined) setDefaultText(status, "phase", "Pending");
      const claimSpec = objectIn(claim, "spec");
      if (claimSpec !== undefined) setDefault(claimSpec, "volumeMode", "Filesystem");
    }
    defaultPodTemplate(spec);
  },
  prepareForCreate(draft) {
    newStatus(draft);
    dropMaxUnavailable(draft);
  },
  validate: (object) => validate(object, (object.metadata["resourceVersion"] ?? "") === ""),
  update: {
    prepare(draft, old) {
      keepStatus(draft, old);
      if (rollingOf(old)?.["maxUnavailable"] === undefined) dropMaxUnavailable(draft);
    },
    validate(object, old) {
      return changedOutside(object, old, MUTABLE)
        ? [
            forbiddenField(
              "spec",
              "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            ),
          ]
        : [];
    },
  },
  subresources: { status: statusUpdate },
};

/** The same where several pods may be away at once. */
export const statefulSetWithMaxUnavailable: ResourceDefinition = {
  ...statefulSet,
  defaults(draft) {
    statefulSet.defaults?.(draft);
    const strategy = objectIn(objectIn(draft, "spec"), "updateStrategy");
    const rolling = objectIn(strategy, "rollingUpdate");
    if (strategy?.["type"] === "RollingUpdate" && rolling !== undefined) setDefault(rolling, "maxUnavailable", 1);
  },
  prepareForCreate: newStatus,
  update: { ...statefulSet.update, prepare: keepStatus },
};
