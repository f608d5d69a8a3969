import type { ReplicationController } from "@coracle/api/core/v1";
import { forbiddenField, invalidValue, isObject, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { nonNegative } from "../validation/field-values.ts";
import { longName } from "../validation/names.ts";
import { defaultPodSpec, objectIn, setDefault } from "../validation/pod-defaults.ts";
import { validatePodTemplateSpec } from "../validation/pod-spec.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

export const replicationController: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "replicationcontrollers",
  kind: "ReplicationController",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "replicas", 1);
    const template = objectIn(spec, "template");
    if (template === undefined) return;
    setDefault(template, "metadata", {});
    setDefault(template, "spec", {});
    const podSpec = objectIn(template, "spec");
    if (podSpec !== undefined) defaultPodSpec(podSpec);
    const labels = objectIn(objectIn(template, "metadata"), "labels");
    if (labels === undefined || Object.keys(labels).length === 0) return;
    if (Object.keys(objectIn(spec, "selector") ?? {}).length === 0) spec["selector"] = { ...labels };
    if (isObject(draft.metadata) && Object.keys(objectIn(draft.metadata, "labels") ?? {}).length === 0)
      draft.metadata["labels"] = { ...labels };
  },
  validateName: longName,
  prepareForCreate: freshStatus({ replicas: 0 }),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<ReplicationController>(object).spec ?? {};
    nonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
    const selector = Object.entries(spec.selector ?? {});
    if (selector.length === 0) errors.push(required("spec.selector"));
    nonNegative(errors, "spec.replicas", spec.replicas);
    const template = spec.template;
    if (template === undefined) {
      errors.push(required("spec.template"));
      return errors;
    }
    const labels = template.metadata?.labels ?? {};
    if (selector.some(([key, value]) => labels[key] !== value))
      errors.push(invalidValue("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"));
    validatePodTemplateSpec(errors, "spec.template", template);
    const restart = text(template.spec?.restartPolicy);
    if (restart !== "Always" && restart !== "")
      errors.push(notSupported("spec.template.spec.restartPolicy", restart, ["Always"]));
    if (template.spec?.activeDeadlineSeconds !== undefined)
      errors.push(
        forbiddenField(
          "spec.template.spec.activeDeadlineSeconds",
          "activeDeadlineSeconds in ReplicationController is not Supported",
        ),
      );
    return errors;
  },
  update: { prepare: keepStatus },
  subresources: { status: statusUpdate },
  defaultPropagation: "Orphan",
  selectableFields: { "status.replicas": (o) => String(as<ReplicationController>(o).status?.replicas ?? 0) },
};
