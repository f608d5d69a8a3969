import type { ClusterRole, PolicyRule, Role } from "@coracle/api/rbac/v1";
import { invalidValue, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, type Decoded } from "../validation/decoded.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { pathSegmentName } from "../validation/names.ts";

function validateRule(errors: FieldError[], path: string, rule: Decoded<PolicyRule>, isNamespaced: boolean): void {
  if ((rule.verbs?.length ?? 0) === 0) errors.push(required(`${path}.verbs`, "verbs must contain at least one value"));
  const urls = rule.nonResourceURLs ?? [];
  if (urls.length > 0) {
    if (isNamespaced)
      errors.push(invalidValue(`${path}.nonResourceURLs`, urls, "namespaced rules cannot apply to non-resource URLs"));
    if ((rule.apiGroups?.length ?? 0) + (rule.resources?.length ?? 0) + (rule.resourceNames?.length ?? 0) > 0)
      errors.push(
        invalidValue(
          `${path}.nonResourceURLs`,
          urls,
          "rules cannot apply to both regular resources and non-resource URLs",
        ),
      );
    return;
  }
  if ((rule.apiGroups?.length ?? 0) === 0)
    errors.push(required(`${path}.apiGroups`, "resource rules must supply at least one api group"));
  if ((rule.resources?.length ?? 0) === 0)
    errors.push(required(`${path}.resources`, "resource rules must supply at least one resource"));
}

export const role: ResourceDefinition = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural: "roles",
  kind: "Role",
  allowCreateOnUpdate: true,
  validateName: pathSegmentName,
  validate(object) {
    const errors: FieldError[] = [];
    as<Role>(object).rules?.forEach((rule, i) => validateRule(errors, `rules[${i}]`, rule, true));
    return errors;
  },
};

export const clusterRole: ResourceDefinition = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural: "clusterroles",
  kind: "ClusterRole",
  allowCreateOnUpdate: true,
  validateName: pathSegmentName,
  validate(object) {
    const errors: FieldError[] = [];
    const { rules, aggregationRule } = as<ClusterRole>(object);
    rules?.forEach((rule, i) => validateRule(errors, `rules[${i}]`, rule, false));
    if (aggregationRule === undefined) return errors;
    const path = "aggregationRule.clusterRoleSelectors";
    if ((aggregationRule.clusterRoleSelectors?.length ?? 0) === 0)
      errors.push(required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"));
    aggregationRule.clusterRoleSelectors?.forEach((selector, i) => {
      const before = errors.length;
      validateLabelSelector(errors, `${path}[${i}]`, selector);
      if (errors.length > before) errors.push(invalidValue(`${path}[${i}]`, null, "invalid label selector."));
    });
    return errors;
  },
};
