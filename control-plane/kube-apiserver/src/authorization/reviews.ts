import {
  badRequest,
  invalid,
  invalidValue,
  isObject,
  required,
  type Draft,
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

/** What a review asks about. Throws 422 when it asks about nothing, or about two things. */
function attributesIn(spec: Draft, user: UserInfo, kind: string): AuthorizationAttributes {
  const resource = isObject(spec["resourceAttributes"]) ? spec["resourceAttributes"] : undefined;
  const path = isObject(spec["nonResourceAttributes"]) ? spec["nonResourceAttributes"] : undefined;
  if ((resource === undefined) === (path === undefined)) {
    throw invalid({ group: "authorization.k8s.io", kind }, "", [
      invalidValue(
        "spec.resourceAttributes",
        spec["resourceAttributes"] ?? null,
        resource === undefined
          ? "exactly one of nonResourceAttributes or resourceAttributes must be specified"
          : "cannot be specified in combination with nonResourceAttributes",
      ),
    ]);
  }
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

function userIn(spec: Draft, kind: string): UserInfo {
  const groups = Array.isArray(spec["groups"]) ? spec["groups"].map(String) : [];
  const name = string(spec["user"]);
  if (name === "" && groups.length === 0) {
    throw invalid({ group: "authorization.k8s.io", kind }, "", [
      required("spec.user", "at least one of user or group must be specified"),
    ]);
  }
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
    metadata: { creationTimestamp: null, ...metadata },
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
    return answer(authorizer, kind, body, attributesIn(spec, userIn(spec, kind), kind));
  };
}

/** May that user, in this namespace? */
export function localSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "LocalSubjectAccessReview";
  return (_request, body, { namespace }) => {
    const spec = specOf(body);
    const attributes = attributesIn(spec, userIn(spec, kind), kind);
    if (!attributes.isResource) {
      throw invalid({ group: "authorization.k8s.io", kind }, "", [
        invalidValue("spec.nonResourceAttributes", spec["nonResourceAttributes"], "disallowed on this kind of request"),
      ]);
    }
    if (attributes.namespace !== namespace) {
      throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`);
    }
    return answer(authorizer, kind, body, attributes);
  };
}

/** May I? */
export function selfSubjectAccessReview(authorizer: Authorizer): VirtualResource {
  const kind = "SelfSubjectAccessReview";
  return (request, body) => answer(authorizer, kind, body, attributesIn(specOf(body), request.user, kind));
}

/** What may I? `rulesFor`: absent when nothing can list rules. */
export function selfSubjectRulesReview(
  rulesFor: ((user: UserInfo, namespace: string) => readonly PolicyRule[]) | undefined,
): VirtualResource {
  return (request, body) => {
    const spec = specOf(body);
    const namespace = string(spec["namespace"]);
    if (namespace === "") throw badRequest("no namespace on request");
    const rules = rulesFor?.(request.user, namespace) ?? [];
    const isMaster = request.user.groups.includes("system:masters");
    const all: PolicyRule[] = isMaster
      ? [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }, { verbs: ["*"], nonResourceURLs: ["*"] }, ...rules]
      : [...rules];
    return Promise.resolve({
      kind: "SelfSubjectRulesReview",
      apiVersion: API_VERSION,
      metadata: { creationTimestamp: null },
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
