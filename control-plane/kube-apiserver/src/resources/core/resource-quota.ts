import type { ResourceQuota, ResourceQuotaSpec } from "@coracle/api/core/v1";
import { equalJson, invalidValue, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import {
  isStandardQuotaResource,
  validateQuotaResourceName,
  validateResourceQuantity,
} from "../validation/resources.ts";
import { keepStatus, statusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const POD_SCOPES = new Set([
  "Terminating",
  "NotTerminating",
  "BestEffort",
  "NotBestEffort",
  "PriorityClass",
  "CrossNamespacePodAffinity",
]);
const SCOPES = new Set([...POD_SCOPES, "VolumeAttributesClass"]);
const COMPUTE = new Set(["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory", "pods"]);

/** Whether objects counted under this name can be in the scope. */
function scopeCovers(scope: string, name: string): boolean {
  if (scope === "BestEffort") return name === "pods" || name === "count/pods";
  if (scope === "VolumeAttributesClass")
    return (
      name === "persistentvolumeclaims" || name === "requests.storage" || name.includes(".storageclass.storage.k8s.io/")
    );
  return (
    COMPUTE.has(name) ||
    name === "count/pods" ||
    name.includes("ephemeral-storage") ||
    name.startsWith("hugepages-") ||
    name.startsWith("requests.")
  );
}

function validateScopes(errors: FieldError[], path: string, spec: Decoded<ResourceQuotaSpec>): void {
  const scopes = spec.scopes ?? [];
  const names = Object.keys(spec.hard ?? {});
  const seen = new Set<string>();
  for (const scope of scopes) {
    if (!SCOPES.has(scope)) errors.push(invalidValue(path, scopes, "unsupported scope"));
    else if (names.some((name) => isStandardQuotaResource(name) && !scopeCovers(scope, name)))
      errors.push(invalidValue(path, scopes, "unsupported scope applied to resource"));
    seen.add(scope);
  }
  if ((seen.has("BestEffort") && seen.has("NotBestEffort")) || (seen.has("Terminating") && seen.has("NotTerminating")))
    errors.push(invalidValue(path, scopes, "conflicting scopes"));
}

function validateSelector(errors: FieldError[], spec: Decoded<ResourceQuotaSpec>): void {
  const path = "spec.scopeSelector.matchExpressions";
  for (const expression of spec.scopeSelector?.matchExpressions ?? []) {
    const scope = text(expression.scopeName);
    const values = expression.values ?? [];
    if (!SCOPES.has(scope)) errors.push(invalidValue(`${path}.scopeName`, scope, "unsupported scope"));
    switch (expression.operator) {
      case "In":
      case "NotIn":
        if (values.length === 0)
          errors.push({
            type: "FieldValueRequired",
            field: `${path}.values`,
            message: "Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
          });
        break;
      case "Exists":
      case "DoesNotExist":
        if (values.length > 0)
          errors.push(
            invalidValue(
              `${path}.values`,
              values,
              "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector",
            ),
          );
        break;
      default:
        errors.push(invalidValue(`${path}.operator`, text(expression.operator), "not a valid selector operator"));
    }
  }
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<ResourceQuota>(object).spec ?? {};
  for (const [name, value] of Object.entries(spec.hard ?? {})) {
    const path = `spec.hard[${name}]`;
    validateQuotaResourceName(errors, path, name);
    validateResourceQuantity(errors, path, name, value);
  }
  validateScopes(errors, "spec.scopes", spec);
  validateSelector(errors, spec);
  return errors;
}

export const resourceQuota: ResourceDefinition = {
  group: "",
  version: "v1",
  plural: "resourcequotas",
  kind: "ResourceQuota",
  prepareForCreate: freshStatus({}),
  validate,
  update: {
    prepare: keepStatus,
    validate(object, old) {
      const now = as<ResourceQuota>(object).spec?.scopes ?? [];
      const before = as<ResourceQuota>(old).spec?.scopes ?? [];
      return equalJson(now.toSorted(), before.toSorted())
        ? []
        : [invalidValue("spec.scopes", now, "field is immutable")];
    },
  },
  subresources: { status: statusUpdate },
};
