import type {
  MatchResources,
  ParamRef,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingAdmissionPolicySpec,
} from "@coracle/api/admissionregistration/v1";
import {
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type Draft,
  type FieldError,
} from "@coracle/apimachinery";
import type { CelEnvironment, CelType } from "@coracle/cel";
import {
  compileExpression,
  createPolicyEnvironment,
  RESULTS,
  type PolicyEnvironment,
} from "../../admission/policy/policy-environment.ts";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { oneOf, pushInvalid, requiredOneOf } from "../validation/field-values.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { cIdentifier, dns1123Subdomain, pathSegmentName, qualifiedName } from "../validation/names.ts";
import { objectIn, objectsIn, setDefault } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate, validateConditions } from "../validation/status.ts";
import { validateMatchConditions, validateRule } from "../validation/webhook.ts";
import { freshStatus } from "../validation/workload.ts";

const REASONS = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

export function defaultMatch(match: Draft | undefined): void {
  if (match === undefined) return;
  setDefault(match, "matchPolicy", "Equivalent");
  setDefault(match, "namespaceSelector", {});
  setDefault(match, "objectSelector", {});
  for (const list of ["resourceRules", "excludeResourceRules"])
    for (const rule of objectsIn(match, list)) setDefault(rule, "scope", "*");
}

export function validateMatch(
  errors: FieldError[],
  path: string,
  match: Decoded<MatchResources>,
  rulesRequired: boolean,
): void {
  if (rulesRequired && (match.resourceRules?.length ?? 0) === 0) errors.push(required(`${path}.resourceRules`));
  if (match.matchPolicy !== undefined) oneOf(errors, `${path}.matchPolicy`, match.matchPolicy, ["Equivalent", "Exact"]);
  validateLabelSelector(errors, `${path}.namespaceSelector`, match.namespaceSelector);
  validateLabelSelector(errors, `${path}.objectSelector`, match.objectSelector);
  match.resourceRules?.forEach((rule, i) => validateRule(errors, `${path}.resourceRules[${i}]`, rule));
  match.excludeResourceRules?.forEach((rule, i) => validateRule(errors, `${path}.excludeResourceRules[${i}]`, rule));
}

function validateExpression(
  errors: FieldError[],
  path: string,
  expression: string,
  environment: CelEnvironment,
  results: readonly CelType[],
): void {
  const { problem } = compileExpression(environment, expression, results);
  if (problem !== undefined) errors.push(invalidValue(path, expression, problem));
}

/** Variables can be used by what follows them; those that do not compile can be used all the same, empty ones not. */
function validateVariables(errors: FieldError[], spec: Decoded<ValidatingAdmissionPolicySpec>): PolicyEnvironment {
  const given = (spec.variables ?? []).map(({ name, expression }) => ({
    name: text(name),
    expression: text(expression).trim(),
  }));
  const environment = createPolicyEnvironment(
    spec.paramKind !== undefined,
    given.filter(({ expression }) => expression !== ""),
    given.length > 0,
  );
  spec.variables?.forEach((variable, i) => {
    const path = `spec.variables[${i}]`;
    const name = text(variable.name);
    const expression = text(variable.expression).trim();
    if (name === "") errors.push(required(`${path}.name`, "name is not specified"));
    else if (cIdentifier(name).length > 0)
      errors.push(invalidValue(`${path}.name`, name, "must be a valid CEL identifier"));
    if (expression === "") {
      errors.push(required(`${path}.expression`, "expression is not specified"));
      return;
    }
    const problem = environment.variables.get(name)?.problem;
    if (problem !== undefined) errors.push(invalidValue(`${path}.expression`, expression, problem));
  });
  return environment;
}

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<ValidatingAdmissionPolicy>(object).spec ?? {};
  if (spec.failurePolicy !== undefined) oneOf(errors, "spec.failurePolicy", spec.failurePolicy, ["Fail", "Ignore"]);
  if (spec.paramKind !== undefined) {
    for (const field of ["apiVersion", "kind"] as const)
      if (text(spec.paramKind[field]) === "") errors.push(required(`spec.paramKind.${field}`));
  }
  if (spec.matchConstraints === undefined) errors.push(required("spec.matchConstraints"));
  else validateMatch(errors, "spec.matchConstraints", spec.matchConstraints, true);
  const conditions: FieldError[] = [];
  const variables: FieldError[] = [];
  const environment = validateVariables(variables, spec);
  const withParams = createPolicyEnvironment(spec.paramKind !== undefined, []).full;
  validateMatchConditions(conditions, "spec.matchConditions", spec.matchConditions, withParams);
  errors.push(...conditions, ...variables);
  if ((spec.validations?.length ?? 0) + (spec.auditAnnotations?.length ?? 0) === 0) {
    errors.push(required("spec.validations", "validations or auditAnnotations must contain at least one item"));
    errors.push(required("spec.auditAnnotations", "validations or auditAnnotations must contain at least one item"));
  }
  spec.validations?.forEach((validation, i) => {
    const path = `spec.validations[${i}]`;
    const expression = text(validation.expression).trim();
    if (expression === "") errors.push(required(`${path}.expression`, "expression is not specified"));
    else validateExpression(errors, `${path}.expression`, expression, environment.full, RESULTS.condition);
    if (text(validation.messageExpression) !== "")
      validateExpression(
        errors,
        `${path}.messageExpression`,
        text(validation.messageExpression),
        environment.withoutAuthorizer,
        RESULTS.message,
      );
    if (validation.reason !== undefined && !REASONS.includes(validation.reason))
      errors.push(notSupported(`${path}.reason`, validation.reason, REASONS));
  });
  const keys = new Set<string>();
  const policy = text(as<ValidatingAdmissionPolicy>(object).metadata?.name);
  spec.auditAnnotations?.forEach((annotation, i) => {
    const path = `spec.auditAnnotations[${i}]`;
    const key = text(annotation.key);
    if (policy === "") errors.push(invalidValue(`${path}.key`, key, "requires metadata.name be non-empty"));
    else pushInvalid(errors, `${path}.key`, `${policy}/${key}`, qualifiedName(`${policy}/${key}`));
    const expression = text(annotation.valueExpression).trim();
    if (expression === "") errors.push(required(`${path}.valueExpression`, "valueExpression is not specified"));
    else validateExpression(errors, `${path}.valueExpression`, expression, environment.full, RESULTS.annotation);
    if (keys.has(key)) errors.push(duplicate(`${path}.key`, key));
    keys.add(key);
  });
  return errors;
}

export const validatingAdmissionPolicy: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  plural: "validatingadmissionpolicies",
  kind: "ValidatingAdmissionPolicy",
  allowUnconditionalUpdate: false,
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "failurePolicy", "Fail");
    defaultMatch(objectIn(spec, "matchConstraints"));
  },
  prepareForCreate: freshStatus({}),
  validate,
  update: { prepare: keepStatus },
  subresources: {
    status: {
      ...onlyStatusUpdate,
      validate(object) {
        const errors: FieldError[] = [];
        validateConditions(errors, "status.conditions", as<ValidatingAdmissionPolicy>(object).status?.conditions);
        return errors;
      },
    },
  },
};

/** What a binding's parameters are found by: a name, or a selector. */
export function validateParamRef(errors: FieldError[], path: string, reference: Decoded<ParamRef> | undefined): void {
  if (reference === undefined) return;
  const name = text(reference.name);
  const both = name !== "" && reference.selector !== undefined;
  if (name !== "") pushInvalid(errors, `${path}.name`, name, pathSegmentName(name, false));
  if (both) errors.push(forbiddenField(`${path}.name`, "name and selector are mutually exclusive"));
  if (reference.selector !== undefined) validateLabelSelector(errors, `${path}.selector`, reference.selector);
  if (both) errors.push(forbiddenField(`${path}.selector`, "name and selector are mutually exclusive"));
  if (name === "" && reference.selector === undefined)
    errors.push(required(path, "one of name or selector must be specified"));
  requiredOneOf(errors, `${path}.parameterNotFoundAction`, reference.parameterNotFoundAction, ["Deny", "Allow"]);
}

export const validatingAdmissionPolicyBinding: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  plural: "validatingadmissionpolicybindings",
  kind: "ValidatingAdmissionPolicyBinding",
  allowUnconditionalUpdate: false,
  defaults: (draft) => defaultMatch(objectIn(objectIn(draft, "spec"), "matchResources")),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<ValidatingAdmissionPolicyBinding>(object).spec ?? {};
    const policy = text(spec.policyName);
    if (policy === "") errors.push(required("spec.policyName"));
    else pushInvalid(errors, "spec.policyName", policy, dns1123Subdomain(policy));
    validateParamRef(errors, "spec.paramRef", spec.paramRef);
    if (spec.matchResources !== undefined) validateMatch(errors, "spec.matchResources", spec.matchResources, false);
    const actions = spec.validationActions ?? [];
    if (actions.length === 0)
      errors.push(required("spec.validationActions", "at least one validation action is required"));
    actions.forEach((action, i) => {
      if (!["Audit", "Deny", "Warn"].includes(action))
        errors.push(notSupported(`spec.validationActions[${i}]`, action, ["Audit", "Deny", "Warn"]));
      if (actions.indexOf(action) !== i) errors.push(duplicate(`spec.validationActions[${i}]`, action));
    });
    if (actions.includes("Deny") && actions.includes("Warn"))
      errors.push(
        invalidValue(
          "spec.validationActions",
          actions,
          "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
        ),
      );
    return errors;
  },
};
