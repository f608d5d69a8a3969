import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from "@coracle/api/flowcontrol/v1";
import { invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { ResourceDefinition } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { pushInvalid } from "../validation/field-values.ts";
import { dns1123Label, dns1123Subdomain } from "../validation/names.ts";
import { objectIn, setDefault, setDefaultNumber } from "../validation/pod-defaults.ts";
import { keepStatus, onlyStatusUpdate } from "../validation/status.ts";
import { freshStatus } from "../validation/workload.ts";

const MAX_PRECEDENCE = 10_000;
const DISTINGUISHERS = ["ByNamespace", "ByUser"];
const RESOURCE_VERBS = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "proxy",
  "update",
  "watch",
  "*",
];
const URL_VERBS = ["delete", "get", "head", "options", "patch", "post", "put", "*"];

function validateSubject(errors: FieldError[], path: string, subject: Decoded<Subject>): void {
  const given: Readonly<Record<string, unknown>> = {
    User: subject.user,
    Group: subject.group,
    ServiceAccount: subject.serviceAccount,
  };
  const fields: Readonly<Record<string, string>> = { User: "user", Group: "group", ServiceAccount: "serviceAccount" };
  const kind = text(subject.kind);
  if (!(kind in fields)) {
    errors.push(notSupported(`${path}.kind`, kind, ["Group", "ServiceAccount", "User"]));
    return;
  }
  for (const [other, field] of Object.entries(fields)) {
    if (other === kind && given[other] === undefined)
      errors.push(required(`${path}.${field}`, `${field} is required when subject kind is '${kind}'`));
    if (other !== kind && given[other] !== undefined)
      errors.push({
        type: "FieldValueForbidden",
        field: `${path}.${field}`,
        message: `Forbidden: ${field} is forbidden when subject kind is not '${other}'`,
      });
  }
  if (kind === "User" && subject.user !== undefined && text(subject.user.name) === "")
    errors.push(required(`${path}.user.name`));
  if (kind === "Group" && subject.group !== undefined && text(subject.group.name) === "")
    errors.push(required(`${path}.group.name`));
  if (kind === "ServiceAccount" && subject.serviceAccount !== undefined) {
    const account = subject.serviceAccount;
    if (text(account.name) === "") errors.push(required(`${path}.serviceAccount.name`));
    else if (account.name !== "*")
      pushInvalid(errors, `${path}.serviceAccount.name`, account.name, dns1123Subdomain(text(account.name)));
    if (text(account.namespace) === "")
      errors.push(required(`${path}.serviceAccount.namespace`, "must specify namespace for service account"));
    else
      pushInvalid(errors, `${path}.serviceAccount.namespace`, account.namespace, dns1123Label(text(account.namespace)));
  }
}

/** Given, and `*` only alone. */
function validateWildcardList(
  errors: FieldError[],
  path: string,
  values: readonly string[] | undefined,
  others: string,
  detail = "",
): void {
  if (values === undefined || values.length === 0) errors.push(required(path, detail));
  else if (values.length > 1 && values.includes("*"))
    errors.push(invalidValue(path, values, `if '*' is present, must not specify other ${others}`));
}
function validateVerbs(
  errors: FieldError[],
  path: string,
  verbs: readonly string[] | undefined,
  supported: readonly string[],
): void {
  if (verbs === undefined || verbs.length === 0) errors.push(required(path, "verbs must contain at least one value"));
  else validateWildcardList(errors, path, verbs, "verbs");
  const unknown = (verbs ?? []).filter((verb) => !supported.includes(verb));
  if (unknown.length > 0) errors.push(notSupported(path, verbs, RESOURCE_VERBS.slice(0, -1)));
}

function validateResourceRule(errors: FieldError[], path: string, rule: Decoded<ResourcePolicyRule>): void {
  validateVerbs(errors, `${path}.verbs`, rule.verbs, RESOURCE_VERBS);
  validateWildcardList(
    errors,
    `${path}.apiGroups`,
    rule.apiGroups,
    "api groups",
    "resource rules must supply at least one api group",
  );
  validateWildcardList(
    errors,
    `${path}.resources`,
    rule.resources,
    "resources",
    "resource rules must supply at least one resource",
  );
  const namespaces = rule.namespaces ?? [];
  if (namespaces.length === 0 && rule.clusterScope !== true)
    errors.push(
      required(`${path}.namespaces`, "resource rules that are not cluster scoped must supply at least one namespace"),
    );
  else if (namespaces.length > 1 && namespaces.includes("*"))
    errors.push(invalidValue(`${path}.namespaces`, namespaces, "if '*' is present, must not specify other namespaces"));
  else
    namespaces.forEach((name, i) => {
      if (name !== "*")
        pushInvalid(
          errors,
          `${path}.namespaces[${i}]`,
          name,
          dns1123Label(name)
            .slice(0, 1)
            .map((problem) => `each member of this list must be '*' or a DNS-1123 label; ${problem}`),
        );
    });
}

/** Paths of non-resource requests: `*`, or rooted, with a `*` only as the last segment. */
function urlProblem(url: string): string | undefined {
  if (url === "") return "must not be empty";
  if (url === "/") return undefined;
  if (!url.startsWith("/")) return "must start with slash";
  if (url.includes(" ")) return "must not contain white-space";
  if (url.includes("//")) return "must not contain double slash";
  if (url.slice(0, -1).includes("*") || (url.endsWith("*") && !url.endsWith("/*")))
    return "wildcard can only do suffix matching";
  return undefined;
}

function validateUrlRule(errors: FieldError[], path: string, rule: Decoded<NonResourcePolicyRule>): void {
  validateVerbs(errors, `${path}.verbs`, rule.verbs, URL_VERBS);
  validateWildcardList(
    errors,
    `${path}.nonResourceURLs`,
    rule.nonResourceURLs,
    "non-resource URLs",
    "nonResourceURLs must contain at least one value",
  );
  if ((rule.nonResourceURLs?.length ?? 0) === 1 && rule.nonResourceURLs?.[0] === "*") return;
  rule.nonResourceURLs?.forEach((url, i) => {
    const problem = url === "*" ? undefined : urlProblem(url);
    if (problem !== undefined) errors.push(invalidValue(`${path}.nonResourceURLs[${i}]`, url, problem));
  });
}

function validateRule(errors: FieldError[], path: string, rule: Decoded<PolicyRulesWithSubjects>): void {
  if ((rule.subjects?.length ?? 0) === 0)
    errors.push(required(`${path}.subjects`, "subjects must contain at least one value"));
  rule.subjects?.forEach((subject, i) => validateSubject(errors, `${path}.subjects[${i}]`, subject));
  if ((rule.resourceRules?.length ?? 0) + (rule.nonResourceRules?.length ?? 0) === 0)
    errors.push(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"));
  rule.resourceRules?.forEach((r, i) => validateResourceRule(errors, `${path}.resourceRules[${i}]`, r));
  rule.nonResourceRules?.forEach((r, i) => validateUrlRule(errors, `${path}.nonResourceRules[${i}]`, r));
}

export const flowSchema: ResourceDefinition = {
  group: "flowcontrol.apiserver.k8s.io",
  version: "v1",
  plural: "flowschemas",
  kind: "FlowSchema",
  defaults(draft) {
    setDefault(draft, "spec", {});
    const spec = objectIn(draft, "spec");
    if (spec !== undefined) setDefaultNumber(spec, "matchingPrecedence", 1000);
  },
  prepareForCreate: freshStatus({}),
  validate(object) {
    const errors: FieldError[] = [];
    const spec = as<FlowSchema>(object).spec ?? {};
    const precedence = spec.matchingPrecedence ?? 0;
    if (precedence <= 0) errors.push(invalidValue("spec.matchingPrecedence", precedence, "must be a positive value"));
    if (precedence > MAX_PRECEDENCE)
      errors.push(invalidValue("spec.matchingPrecedence", precedence, `must not be greater than ${MAX_PRECEDENCE}`));
    if (precedence === 1 && as<FlowSchema>(object).metadata?.name !== "exempt")
      errors.push(
        invalidValue(
          "spec.matchingPrecedence",
          precedence,
          "only the schema named 'exempt' may have matchingPrecedence 1",
        ),
      );
    const distinguisher = spec.distinguisherMethod;
    if (distinguisher !== undefined && !DISTINGUISHERS.includes(text(distinguisher.type)))
      errors.push(notSupported("spec.distinguisherMethod.type", distinguisher, DISTINGUISHERS));
    const level = text(spec.priorityLevelConfiguration?.name);
    if (level === "") errors.push(required("spec.priorityLevelConfiguration.name", "must reference a priority level"));
    else pushInvalid(errors, "spec.priorityLevelConfiguration.name", level, dns1123Subdomain(level));
    spec.rules?.forEach((rule, i) => validateRule(errors, `spec.rules[${i}]`, rule));
    return errors;
  },
  update: { prepare: keepStatus },
  subresources: { status: onlyStatusUpdate },
};
