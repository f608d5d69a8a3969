import type { ReplicaSet } from "@coracle/api/apps/v1";
import type { FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { nonNegative } from "../validation/field-values.ts";
import { validateImmutable } from "../validation/object-meta.ts";
import { defaultPodTemplate, objectIn, setDefault } from "../validation/pod-defaults.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { freshStatus, validateWorkloadSelector, validateWorkloadTemplate } from "../validation/workload.ts";

export const replicaSet: ResourceDefinition = {
  group: "apps",
  version: "v1",
  plural: "replicasets",
  kind: "ReplicaSet",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "replicas", 1);
    defaultPodTemplate(spec);
  },
  prepareForCreate: freshStatus({ replicas: 0 }),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<ReplicaSet>(object).spec ?? {};
    nonNegative(errors, "spec.replicas", spec.replicas);
    nonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
    if (validateWorkloadSelector(errors, "spec.selector", spec.selector, "empty selector is invalid for deployment"))
      validateWorkloadTemplate(errors, "spec.template", spec.template, spec.selector);
    return errors;
  },
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const errors: FieldError[] = [];
      validateImmutable(
        errors,
        "spec.selector",
        as<ReplicaSet>(object).spec?.selector,
        as<ReplicaSet>(old).spec?.selector,
      );
      return errors;
    },
  },
  subresources: { status: statusUpdate },
};
