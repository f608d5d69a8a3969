import type { Lease } from "@coracle/api/coordination/v1";
import { invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as } from "../validation/decoded.ts";
import { nonNegative } from "../validation/field-values.ts";

export const lease: ResourceDefinition = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  allowUnconditionalUpdate: false,
  allowCreateOnUpdate: true,
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<Lease>(object).spec ?? {};
    if (spec.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0)
      errors.push(invalidValue("spec.leaseDurationSeconds", spec.leaseDurationSeconds, "must be greater than 0"));
    nonNegative(errors, "spec.leaseTransitions", spec.leaseTransitions);
    return errors;
  },
};
