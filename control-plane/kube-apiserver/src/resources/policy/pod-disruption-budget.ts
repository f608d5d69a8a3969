import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { nonNegativeIntOrPercent, notOver100Percent, oneOf } from "../validation/field-values.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { pathSegmentName } from "../validation/names.ts";
import { keepStatus, statusUpdate, validateConditions } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

export const podDisruptionBudget: ResourceDefinition = {
  group: "policy",
  version: "v1",
  plural: "poddisruptionbudgets",
  kind: "PodDisruptionBudget",
  allowUnconditionalUpdate: false,
  prepareForCreate: freshStatus({ disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }),
  validateName: pathSegmentName,
  metadataOrder: "alone",
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<PodDisruptionBudget>(object).spec ?? {};
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
      errors.push(invalidValue("spec", spec, "minAvailable and maxUnavailable cannot be both set"));
    for (const field of ["minAvailable", "maxUnavailable"] as const) {
      if (spec[field] === undefined) continue;
      nonNegativeIntOrPercent(errors, `spec.${field}`, spec[field]);
      notOver100Percent(errors, `spec.${field}`, spec[field]);
    }
    validateLabelSelector(errors, "spec.selector", spec.selector);
    if (spec.unhealthyPodEvictionPolicy !== undefined)
      oneOf(errors, "spec.unhealthyPodEvictionPolicy", spec.unhealthyPodEvictionPolicy, [
        "AlwaysAllow",
        "IfHealthyBudget",
      ]);
    return errors;
  },
  update: { prepare: keepStatus },
  subresources: {
    status: {
      ...statusUpdate,
      validate(object) {
        const errors: FieldError[] = [];
        validateConditions(errors, "status.conditions", as<PodDisruptionBudget>(object).status?.conditions);
        return errors;
      },
    },
  },
};
