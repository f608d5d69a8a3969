import {
  badRequest,
  invalid,
  invalidValue,
  isObject,
  type Draft,
  type FieldError,
  type JsonObject,
} from "@coracle/apimachinery";
import type { PolicyRule } from "@coracle/api/rbac/v1";
import type { UserInfo } from "../authentication/user.ts";
import type { VirtualResource } from "../server/resource-routes.ts";
import type { AuthorizationAttributes, Authorizer } from "./authorizer.ts";

const API_VERSION = "authorization.k8s.io/v1";
const string = (value: unknown): string => (typeof value === "string" ? value : "");

function specOf(body: Draft): Draft {
  return isObject(body["spec"]) ? body["spec"] : {};
}

/** Path and verb as messages print them. */
const printedPath = (path: Draft): JsonObject => ({ Path: string(path["path"]), Verb: string(path["verb"]) });

/** A review must ask about one thing, not about nothing or two. */
function attributeErrors(spec: Draft): FieldError[] {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (isObject(resource) && isObject(path)) {
    const why = "cannot be specified in combination with resourceAttributes";
    return [invalidValue("spec.nonResourceAttributes", printedPath(path), why)];
  }
  if (isObject(resource) || isObject(path)) return [];
  const why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
  return [invalidValue("spec.resourceAttributes", null, why)];
}

function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: "authorization.k8s.io", kind: "" }, "", errors);
}

/** What a review asks about. It has been checked. */
function attributesIn(spec: Draft, user: UserInfo): AuthorizationAttributes {
  const resource = isObject(spec["resourceAttributes"]) ? spec["resourceAttributes"] : undefined;
  const path = isObject(spec["nonResourceAttributes"]) ? spec["nonResourceAttributes"] : undefined;
  if (resource === undefined) {
    return {
      user,
      verb: string(path!["verb"]),
      isResource: false,
      group: "",
      version: "",
      resource: "",
      subresource: "",
      namespace: "",
      name: "",
      path: string(path!["path"]),
    };
  }
  return {
    user,
    verb: string(resource["verb"]),
    isResource: true,
    group: string(resource["group"]),
    version: string(resource["version"]),
    resource: string(resource["resource"]),
    subresource: string(resource["subresource"]),
    namespace: string(resource["namespace"]),
    name: string(resource["name"]),
    path: "",
    fieldSelector: fieldSelectorOf(resource["fieldSelector"]),
  };
}

/** A field selector in its structured form as the text that requests carry. */
function fieldSelectorOf(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  if (typeof value["rawSelector"] === "string") return value["rawSelector"];
  if (!Array.isArray(value["requirements"])) return undefined;
  const terms = value["requirements"].filter(isObject).flatMap((requirement) => {
    const values = requirement["values"];
    const isEquality = requirement["operator"] === "In" && Array.isArray(values) && values.length === 1;
    return isEquality ? [`${String(requirement["key"])}=${String(values[0])}`] : [];
  });
  return terms.join(",");
}

/** A review of somebody must say of whom. */
function userErrors(spec: Draft): FieldError[] {
  const hasGroups = Array.isArray(spec["groups"]) && spec["groups"].length > 0;
  if (string(spec["user"]) !== "" || hasGroups) return [];
  return [invalidValue("spec.user", "", "at least one of user or group must be specified")];
}

function userIn(spec: Draft): UserInfo {
  const groups = Array.isArray(spec["groups"]) ? spec["groups"].map(String) : [];
  const name = string(spec["user"]);
  const extra = isObject(spec["extra"]) ? (spec["extra"] as Record<string, string[]>) : undefined;
  return {
    name,
    groups,
    ...(typeof spec["uid"] === "string" ? { uid: spec["uid"] } : {}),
    ...(extra === undefined ? {} : { extra }),
  };
}

async function answer(
  authorizer: Authorizer,
  kind: string,
  body: Draft,
  attributes: AuthorizationAttributes,
): Promise<JsonObject> {
  const decision = await authorizer.authorize(attributes);
  const metadata = (isObject(body["metadata"]) ? body["metadata"] : {}) as JsonObject;
  return {
    kind,
    apiVersion: API_VERSION,
    metadata,
    spec: specOf(body) as JsonObject,
    status: {
      allowed: decision.verdict === "allow",
      ...(decision.verdict === "deny" ? { denied: true } : {}),
      ...(decision.reason === undefined || decision.reason === "" ? {} : { reason: decision.reason }),
    },
  };
}

/** May that user? */
export function subjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "SubjectAccessReview";
  return (_request, body) => {
    const spec = specOf(body);
    refuse([...attributeErrors(spec), ...userErrors(spec)]);
    return answer(authorizer, kind, body, attributesIn(spec, userIn(spec)));
  };
}

/** May that user, in this namespace? */
export function localSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "LocalSubjectAccessReview";
  return (_request, body, { namespace }) => {
    const spec = specOf(body);
    const errors = [...attributeErrors(spec), ...userErrors(spec)];
    const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
    if (isObject(resource) && string(resource["namespace"]) !== namespace) {
      const given = string(resource["namespace"]);
      errors.push(invalidValue("spec.resourceAttributes.namespace", given, "must match metadata.namespace"));
    }
    if (isObject(path)) {
      const why = "disallowed on this kind of request";
      errors.push(invalidValue("spec.nonResourceAttributes", printedPath(path), why));
    }
    refuse(errors);
    const attributes = attributesIn(spec, userIn(spec));
    return answer(authorizer, kind, body, attributes);
  };
}

/** May I? */
export function selfSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "SelfSubjectAccessReview";
  return (request, body) => {
    const spec = specOf(body);
    refuse(attributeErrors(spec));
    return answer(authorizer, kind, body, attributesIn(spec, request.user));
  };
}

/** What may I? `rulesFor`: absent when nothing can list rules. */
export function selfSubjectRulesReview(
  rulesFor: ((user: UserInfo, namespace: string) => readonly PolicyRule[]) | undefined,
): VirtualResource {
  return (request, body) => {
    const spec = specOf(body);
    const namespace = string(spec["namespace"]);
    if (namespace === "") throw badRequest("no namespace on request");
    const all = rulesFor?.(request.user, namespace) ?? [];
    return Promise.resolve({
      kind: "SelfSubjectRulesReview",
      apiVersion: API_VERSION,
      metadata: {},
      spec: {},
      status: {
        resourceRules: all
          .filter((rule) => (rule.resources ?? []).length > 0)
          .map(({ verbs, apiGroups = [], resources = [], resourceNames }) => ({
            verbs,
            apiGroups,
            resources,
            ...(resourceNames === undefined ? {} : { resourceNames }),
          })),
        nonResourceRules: all
          .filter((rule) => (rule.nonResourceURLs ?? []).length > 0)
          .map(({ verbs, nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
        incomplete: false,
      },
    });
  };
}
