import type {
  MatchCondition,
  RuleWithOperations,
  ValidatingWebhook,
  WebhookClientConfig,
} from "@coracle/api/admissionregistration/v1";
import { duplicate, invalidValue, notSupported, required, type FieldError } from "@coracle/apimachinery";
import type { CelEnvironment } from "@coracle/cel";
import { conditionProblem } from "./expressions.ts";
import { text, type Decoded } from "./decoded.ts";
import { oneOf, pushInvalid } from "./field-values.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { dns1035Label, dns1123Subdomain, portNumber, qualifiedName } from "./names.ts";

const OPERATIONS = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES = ["*", "Cluster", "Namespaced"];
const REVIEW_VERSIONS = ["v1", "v1beta1"];

function givenList(errors: FieldError[], path: string, values: readonly string[] | undefined, others: string): void {
  if (values === undefined || values.length === 0) errors.push(required(path));
  else if (values.length > 1 && values.includes("*"))
    errors.push(invalidValue(path, values, `if '*' is present, must not specify other ${others}`));
}

/** Which requests a webhook or policy is about. */
export function validateRule(errors: FieldError[], path: string, rule: Decoded<RuleWithOperations>): void {
  givenList(errors, `${path}.operations`, rule.operations, "operations");
  rule.operations?.forEach((operation, i) => oneOf(errors, `${path}.operations[${i}]`, operation, OPERATIONS));
  givenList(errors, `${path}.apiGroups`, rule.apiGroups, "API groups");
  givenList(errors, `${path}.apiVersions`, rule.apiVersions, "API versions");
  rule.apiVersions?.forEach((version, i) => version === "" && errors.push(required(`${path}.apiVersions[${i}]`)));
  const resources = rule.resources ?? [];
  if (resources.length === 0) errors.push(required(`${path}.resources`));
  resources.forEach((resource, i) => {
    const at = `${path}.resources[${i}]`;
    if (resource === "") {
      errors.push(required(at));
      return;
    }
    if (resource === "*/*" && resources.length > 1)
      errors.push(
        invalidValue(`${path}.resources`, resources, "if '*/*' is present, must not specify other resources"),
      );
  });
  if (rule.scope !== undefined && !SCOPES.includes(rule.scope))
    errors.push(notSupported(`${path}.scope`, rule.scope, SCOPES));
}

/** Where a webhook is: a URL or a service. */
export function validateClientConfig(
  errors: FieldError[],
  path: string,
  config: Decoded<WebhookClientConfig> | undefined,
): void {
  const url = config?.url;
  const service = config?.service;
  if ((url === undefined) === (service === undefined)) {
    errors.push(required(path, "exactly one of url or service is required"));
    return;
  }
  if (url !== undefined) {
    const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)/i.exec(url);
    if (match?.[1] !== "https")
      errors.push(
        invalidValue(
          `${path}.url`,
          match?.[1] ?? "",
          "'https' is the only allowed URL scheme; desired format: https://host[/path]",
        ),
      );
    if (match === null || (match[2] ?? "") === "")
      errors.push(invalidValue(`${path}.url`, "", "host must be specified; desired format: https://host[/path]"));
    else if (match[2]?.includes("@") === true)
      errors.push(invalidValue(`${path}.url`, match[2], "user information is not permitted in the URL"));
    const [, query = "", fragment = ""] = /^[^?#]*(?:\?([^#]*))?(?:#(.*))?$/.exec(url) ?? [];
    if (fragment !== "") errors.push(invalidValue(`${path}.url`, fragment, "fragments are not permitted in the URL"));
    if (query !== "") errors.push(invalidValue(`${path}.url`, query, "query parameters are not permitted in the URL"));
  }
  if (service !== undefined) {
    if (text(service.name) === "") errors.push(required(`${path}.service.name`, "service name is required"));
    if (text(service.namespace) === "")
      errors.push(required(`${path}.service.namespace`, "service namespace is required"));
    const port = service.port ?? 443;
    if (portNumber(port).length > 0)
      errors.push(
        invalidValue(`${path}.service.port`, port, "port is not valid: must be between 1 and 65535, inclusive"),
      );
    validateServicePath(errors, `${path}.service.path`, text(service.path));
  }
}

function validateServicePath(errors: FieldError[], at: string, path: string): void {
  if (path === "" || path === "/") return;
  if (path === "//") {
    errors.push(invalidValue(at, path, "segment[0] may not be empty"));
    return;
  }
  if (!path.startsWith("/")) errors.push(invalidValue(at, path, "must start with a '/'"));
  path
    .slice(1)
    .replace(/\/$/, "")
    .split("/")
    .forEach((segment, i) => {
      if (segment === "") errors.push(invalidValue(at, path, `segment[${i}] may not be empty`));
      else
        for (const message of dns1123Subdomain(segment))
          errors.push(invalidValue(at, path, `segment[${i}]: ${message}`));
    });
}

/** Expressions that say whether the webhook or policy is asked at all. */
export function validateMatchConditions(
  errors: FieldError[],
  path: string,
  conditions: readonly Decoded<MatchCondition>[] | undefined,
  environment?: CelEnvironment,
): void {
  if ((conditions?.length ?? 0) > 64)
    errors.push({
      type: "FieldValueTooMany",
      field: path,
      message: `Too many: ${conditions?.length}: must have at most 64 items`,
    });
  const names = new Set<string>();
  conditions?.forEach((condition, i) => {
    const at = `${path}[${i}]`;
    const expression = text(condition.expression).trim();
    if (expression === "") errors.push(required(`${at}.expression`));
    else {
      const problem = conditionProblem(expression, environment);
      if (problem !== undefined) errors.push(invalidValue(`${at}.expression`, condition.expression, problem));
    }
    const name = text(condition.name);
    if (name === "") errors.push(required(`${at}.name`));
    else {
      pushInvalid(errors, `${at}.name`, name, qualifiedName(name));
      if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
      names.add(name);
    }
  });
}

function validateReviewVersions(errors: FieldError[], path: string, versions: readonly string[] | undefined): void {
  if (versions === undefined || versions.length === 0) {
    errors.push(required(path, `must specify one of ${REVIEW_VERSIONS.join(", ")}`));
    return;
  }
  const seen = new Set<string>();
  let known = false;
  versions.forEach((version, i) => {
    if (seen.has(version)) {
      errors.push(invalidValue(`${path}[${i}]`, version, "duplicate version"));
      return;
    }
    seen.add(version);
    for (const message of dns1035Label(version)) errors.push(invalidValue(`${path}[${i}]`, version, message));
    known ||= REVIEW_VERSIONS.includes(version);
  });
  if (!known) errors.push(invalidValue(path, versions, `must include at least one of ${REVIEW_VERSIONS.join(", ")}`));
}

/** One webhook, mutating or validating. */
export function validateWebhook(
  errors: FieldError[],
  path: string,
  hook: Decoded<ValidatingWebhook> & { readonly reinvocationPolicy?: string | undefined },
): void {
  const name = text(hook.name);
  if (name === "") errors.push(required(`${path}.name`));
  else {
    const messages = dns1123Subdomain(name);
    if (messages.length > 0) pushInvalid(errors, `${path}.name`, name, messages);
    else if (name.split(".").length < 3)
      errors.push(
        invalidValue(`${path}.name`, name, "should be a domain with at least three segments separated by dots"),
      );
  }
  hook.rules?.forEach((rule, i) => validateRule(errors, `${path}.rules[${i}]`, rule));
  if (hook.failurePolicy !== undefined) oneOf(errors, `${path}.failurePolicy`, hook.failurePolicy, ["Fail", "Ignore"]);
  if (hook.matchPolicy !== undefined) oneOf(errors, `${path}.matchPolicy`, hook.matchPolicy, ["Equivalent", "Exact"]);
  if (hook.sideEffects === undefined)
    errors.push(required(`${path}.sideEffects`, "must specify one of None, NoneOnDryRun"));
  else oneOf(errors, `${path}.sideEffects`, hook.sideEffects, ["None", "NoneOnDryRun"]);
  if (hook.timeoutSeconds !== undefined && (hook.timeoutSeconds > 30 || hook.timeoutSeconds < 1))
    errors.push(
      invalidValue(`${path}.timeoutSeconds`, hook.timeoutSeconds, "the timeout value must be between 1 and 30 seconds"),
    );
  validateLabelSelector(errors, `${path}.namespaceSelector`, hook.namespaceSelector);
  validateLabelSelector(errors, `${path}.objectSelector`, hook.objectSelector);
  if (hook.reinvocationPolicy !== undefined)
    oneOf(errors, `${path}.reinvocationPolicy`, hook.reinvocationPolicy, ["IfNeeded", "Never"]);
  validateClientConfig(errors, `${path}.clientConfig`, hook.clientConfig);
  validateMatchConditions(errors, `${path}.matchConditions`, hook.matchConditions);
  validateReviewVersions(errors, `${path}.admissionReviewVersions`, hook.admissionReviewVersions);
}
