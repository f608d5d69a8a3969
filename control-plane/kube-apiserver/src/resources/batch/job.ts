import type { Job, JobSpec } from "@coracle/api/batch/v1";
import { equalJson, invalidValue, isObject, type Draft, type FieldError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { defaultJobSpec, validateJobSelector, validateJobSpec } from "../validation/job-spec.ts";
import { dns1123Label, labelValue } from "../validation/names.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { clearStatus, keepStatus, statusUpdate } from "../validation/status.ts";

const PREFIX = "batch.kubernetes.io/";

/** A job whose selector is ours to make: by its uid, which its pods' labels then carry. */
function generateSelector(draft: ApiDraft): void {
  draft["status"] = {};
  const spec = objectIn(draft, "spec");
  const template = objectIn(spec, "template");
  if (spec === undefined || template === undefined || spec["manualSelector"] === true) return;
  const uid = text(draft.metadata["uid"] as string | undefined);
  const name = text(draft.metadata["name"] as string | undefined);
  if (!isObject(template["metadata"])) template["metadata"] = {};
  const meta = template["metadata"] as Draft;
  const labels = (isObject(meta["labels"]) ? meta["labels"] : (meta["labels"] = {})) as Draft;
  for (const prefix of ["", PREFIX]) {
    labels[`${prefix}controller-uid`] ??= uid;
    labels[`${prefix}job-name`] ??= name;
  }
  const selector = (isObject(spec["selector"]) ? spec["selector"] : (spec["selector"] = {})) as Draft;
  const match = (isObject(selector["matchLabels"]) ? selector["matchLabels"] : (selector["matchLabels"] = {})) as Draft;
  match[`${PREFIX}controller-uid`] ??= uid;
  // Labels that were defaulted from the template follow it.
  const own = Object.keys(objectIn(draft.metadata, "labels") ?? {}).length;
  if (own === 0 && labelValue(name).length === 0) draft.metadata["labels"] = { ...labels };
}

function specErrors(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<Job>(object).spec ?? {};
  validateJobSpec(errors, "spec", spec);
  validateJobSelector(errors, "spec", spec);
  const name = text(as<Job>(object).metadata?.name);
  if (
    spec.completionMode === "Indexed" &&
    (spec.completions ?? 0) > 0 &&
    (object.metadata["resourceVersion"] ?? "") === ""
  ) {
    // Pods of an Indexed job carry their index in the host name.
    const hostname = `${name}-${(spec.completions ?? 1) - 1}`;
    if (dns1123Label(hostname).length > 0)
      errors.push(
        invalidValue("metadata.name", name, `will not able to create pod with invalid DNS label: ${hostname}`),
      );
  }
  return errors;
}

/** Scheduling directives and labels of a suspended job that never started may still change. */
function templatePart(spec: Decoded<JobSpec>, isMutable: boolean): unknown {
  if (!isMutable) return spec.template;
  const { nodeSelector: _n, affinity: _a, tolerations: _t, schedulingGates: _g, ...rest } = spec.template?.spec ?? {};
  return rest;
}

function validateUpdate(object: ApiObject, before: ApiObject): FieldError[] {
  const errors = specErrors(object);
  const spec = as<Job>(object).spec ?? {};
  const old = as<Job>(before).spec ?? {};
  const elastic =
    spec.completionMode === "Indexed" &&
    spec.completions !== undefined &&
    old.completions !== undefined &&
    spec.completions === spec.parallelism;
  if (!elastic && spec.completions !== old.completions)
    errors.push(
      invalidValue(
        "spec.completions",
        spec.completions,
        spec.completionMode === "Indexed"
          ? "can only be modified in tandem with spec.parallelism"
          : "field is immutable",
      ),
    );
  validateImmutable(errors, "spec.selector", spec.selector, old.selector);
  const mutable = old.suspend === true && as<Job>(before).status?.startTime === undefined;
  if (!equalJson(templatePart(spec, mutable), templatePart(old, mutable)))
    errors.push(invalidValue("spec.template", spec.template, "field is immutable"));
  for (const field of [
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
  ] as const)
    validateImmutable(errors, `spec.${field}`, spec[field], old[field]);
  return errors;
}

export const job: ResourceDefinition = {
  group: "batch",
  version: "v1",
  plural: "jobs",
  kind: "Job",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    defaultJobSpec(spec, true);
    const labels = objectIn(objectIn(objectIn(spec, "template"), "metadata"), "labels");
    if (
      labels !== undefined &&
      isObject(draft.metadata) &&
      Object.keys(objectIn(draft.metadata, "labels") ?? {}).length === 0
    )
      // The same object: as upstream's, they get what is added to the template's at creation, too.
      draft.metadata["labels"] = labels;
  },
  prepareForCreate(draft) {
    clearStatus(draft);
    generateSelector(draft);
  },
  validate: specErrors,
  update: { prepare: keepStatus, validate: validateUpdate },
  subresources: { status: statusUpdate },
  // Old clients of jobs expect their pods to stay.
  defaultPropagation: "Orphan",
  deleteWarnings: (saysWhatWithDependents) =>
    saysWhatWithDependents
      ? []
      : [
          "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
        ],
  selectableFields: { "status.successful": (o) => String(as<Job>(o).status?.succeeded ?? 0) },
};
