import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
} from "@coracle/api/admissionregistration/v1beta1";
import { invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import { JSON_PATCH, listType } from "@coracle/cel";
import { JSON_PATCH_OPERATION, OBJECT, resolveMutationType } from "../../admission/policy/mutation-types.ts";
import { compileExpression, createPolicyEnvironment } from "../../admission/policy/policy-environment.ts";
import type { ApiObject, ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text } from "../validation/decoded.ts";
import { oneOf, pushInvalid } from "../validation/field-values.ts";
import { cIdentifier, dns1123Subdomain } from "../validation/names.ts";
import { objectIn, setDefault } from "../validation/pod-defaults.ts";
import { validateMatchConditions } from "../validation/webhook.ts";
import { defaultMatch, validateMatch, validateParamRef } from "./validating-admission-policy.ts";

const PATCH_TYPES = ["ApplyConfiguration", "JSONPatch"];

function validate(object: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = as<MutatingAdmissionPolicy>(object).spec ?? {};
  if (spec.failurePolicy !== undefined) oneOf(errors, "spec.failurePolicy", spec.failurePolicy, ["Fail", "Ignore"]);
  for (const field of ["apiVersion", "kind"] as const) {
    if (spec.paramKind !== undefined && text(spec.paramKind[field]) === "") {
      errors.push(required(`spec.paramKind.${field}`));
    }
  }
  if (spec.matchConstraints === undefined) errors.push(required("spec.matchConstraints"));
  else
    validateMatch(errors, "spec.matchConstraints", spec.matchConstraints as Parameters<typeof validateMatch>[2], true);
  const variables = (spec.variables ?? []).map(({ name, expression }) => ({
    name: text(name),
    expression: text(expression).trim(),
  }));
  const given = variables.filter(({ expression }) => expression !== "");
  const environment = createPolicyEnvironment(spec.paramKind !== undefined, given);
  validateMatchConditions(errors, "spec.matchConditions", spec.matchConditions, environment.full);
  variables.forEach(({ name, expression }, i) => {
    const path = `spec.variables[${i}]`;
    if (name === "") errors.push(required(`${path}.name`, "name is not specified"));
    else if (cIdentifier(name).length > 0) {
      errors.push(invalidValue(`${path}.name`, name, "must be a valid CEL identifier"));
    }
    const problem = environment.variables.get(name)?.problem;
    if (expression === "") errors.push(required(`${path}.expression`, "expression is not specified"));
    else if (problem !== undefined) errors.push(invalidValue(`${path}.expression`, expression, problem));
  });
  if ((spec.mutations?.length ?? 0) === 0)
    errors.push(required("spec.mutations", "mutations must contain at least one item"));
  const patching = environment.full.extend({ resolveObject: resolveMutationType, functions: JSON_PATCH });
  spec.mutations?.forEach((mutation, i) => {
    const path = `spec.mutations[${i}]`;
    const isPatch = mutation.patchType === "JSONPatch";
    const member = isPatch ? "jsonPatch" : "applyConfiguration";
    if (text(mutation.patchType) === "") errors.push(required(`${path}.patchType`));
    else if (!PATCH_TYPES.includes(mutation.patchType!)) {
      errors.push(notSupported(`${path}.patchType`, mutation.patchType!, PATCH_TYPES));
    } else if (mutation[member] === undefined) {
      errors.push(required(`${path}.${member}`, `must be specified when patchType is ${mutation.patchType}`));
    } else {
      const expression = text(mutation[member]?.expression).trim();
      const wanted = isPatch ? listType(JSON_PATCH_OPERATION) : OBJECT;
      const problem = compileExpression(patching, expression, [wanted]).problem;
      if (expression === "") errors.push(required(`${path}.${member}.expression`, "expression is not specified"));
      else if (problem !== undefined) errors.push(invalidValue(`${path}.${member}.expression`, expression, problem));
    }
  });
  return errors;
}

/** Policies that change objects: served where `--runtime-config` says so. */
export const mutatingAdmissionPolicy: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1beta1",
  plural: "mutatingadmissionpolicies",
  kind: "MutatingAdmissionPolicy",
  allowUnconditionalUpdate: false,
  hasGeneration: true,
  defaults(draft) {
    const spec = objectIn(draft, "spec");
    if (spec === undefined) return;
    setDefault(spec, "failurePolicy", "Fail");
    setDefault(spec, "reinvocationPolicy", "Never");
    defaultMatch(objectIn(spec, "matchConstraints"));
  },
  validate,
};

/** What puts those policies to use. */
export const mutatingAdmissionPolicyBinding: ResourceDefinition = {
  group: "admissionregistration.k8s.io",
  version: "v1beta1",
  plural: "mutatingadmissionpolicybindings",
  kind: "MutatingAdmissionPolicyBinding",
  allowUnconditionalUpdate: false,
  hasGeneration: true,
  defaults: (draft) => defaultMatch(objectIn(objectIn(draft, "spec"), "matchResources")),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<MutatingAdmissionPolicyBinding>(object).spec ?? {};
    const policy = text(spec.policyName);
    if (policy === "") errors.push(required("spec.policyName"));
    else pushInvalid(errors, "spec.policyName", policy, dns1123Subdomain(policy));
    validateParamRef(errors, "spec.paramRef", spec.paramRef);
    if (spec.matchResources !== undefined) {
      validateMatch(errors, "spec.matchResources", spec.matchResources as Parameters<typeof validateMatch>[2], false);
    }
    return errors;
  },
};
