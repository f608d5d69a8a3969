import { isObject, parseJson } from "@coracle/apimachinery";
import type { PolicyRule } from "@coracle/api/rbac/v1";
import { AUTHENTICATED_GROUP, type UserInfo } from "../authentication/user.ts";
import { ALLOW, type AuthorizationAttributes, type Authorizer } from "./authorizer.ts";

/** One line of a policy file: who may do what. `*` stands for any. */
export interface AbacPolicy {
  readonly user: string;
  readonly group: string;
  readonly isReadOnly: boolean;
  readonly apiGroup: string;
  readonly resource: string;
  readonly namespace: string;
  readonly nonResourcePath: string;
}

const OLD_VERSION = "abac.authorization.kubernetes.io/v0";
const VERSION = "abac.authorization.kubernetes.io/v1beta1";
const READING = new Set(["get", "list", "watch"]);

function text(object: Readonly<Record<string, unknown>>, field: string, path: string): string {
  const value = object[field];
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  throw new Error(`json: cannot unmarshal ${kind} into Go struct field ${path}.${field} of type string`);
}

function flag(object: Readonly<Record<string, unknown>>, field: string, path: string): boolean {
  const value = object[field];
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean") return value;
  throw new Error(`json: cannot unmarshal ${typeof value} into Go struct field ${path}.${field} of type bool`);
}

/** The older form: flat, and everything that is not named is meant. */
function readOldPolicy(object: Readonly<Record<string, unknown>>): AbacPolicy {
  const read = (field: string): string => text(object, field, "Policy");
  let [user, group] = [read("user"), read("group")];
  // Old files named whom by leaving him out; since there are anonymous users, that means the known ones.
  if (user === "" && group === "") group = AUTHENTICATED_GROUP;
  if (user === "*" || group === "*") [user, group] = ["", AUTHENTICATED_GROUP];
  const [resource, namespace] = [read("resource"), read("namespace")];
  return {
    user,
    group,
    isReadOnly: flag(object, "readonly", "Policy"),
    apiGroup: "*",
    resource: resource === "" ? "*" : resource,
    namespace: namespace === "" ? "*" : namespace,
    nonResourcePath: resource === "" && namespace === "" ? "*" : "",
  };
}

function readPolicy(object: Readonly<Record<string, unknown>>): AbacPolicy {
  const spec = isObject(object["spec"]) ? object["spec"] : {};
  const read = (field: string): string => text(spec, field, "PolicySpec.spec");
  let [user, group] = [read("user"), read("group")];
  if (user === "*" || group === "*") [user, group] = ["", AUTHENTICATED_GROUP];
  return {
    user,
    group,
    isReadOnly: flag(spec, "readonly", "PolicySpec.spec"),
    apiGroup: read("apiGroup"),
    resource: read("resource"),
    namespace: read("namespace"),
    nonResourcePath: read("nonResourcePath"),
  };
}

/** One policy a line, in JSON; `#` begins a comment. Throws with the file's name and the line's number. */
export function parsePolicyFile(content: string, path: string): AbacPolicy[] {
  const policies: AbacPolicy[] = [];
  for (const [index, line] of content.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    try {
      const object: unknown = parseJson(trimmed);
      if (!isObject(object)) throw new Error("a policy is a JSON object");
      const [version, kind] = [text(object, "apiVersion", "Policy"), text(object, "kind", "Policy")];
      const isKnown = kind === "Policy" && (version === OLD_VERSION || version === VERSION);
      if (version !== "" && kind !== "" && !isKnown) {
        throw new Error(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)}`);
      }
      policies.push(isKnown && version === VERSION ? readPolicy(object) : readOldPolicy(object));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`error reading policy file ${path}, line ${index + 1}: ${trimmed}: ${why}`, { cause: error });
    }
  }
  return policies;
}

function matchesSubject(policy: AbacPolicy, user: UserInfo): boolean {
  if (policy.user !== "" && policy.user !== user.name) return false;
  if (policy.group !== "" && !user.groups.includes(policy.group)) return false;
  return policy.user !== "" || policy.group !== "";
}

const isAny = (pattern: string, value: string): boolean => pattern === "*" || pattern === value;

function matchesObject(policy: AbacPolicy, attributes: AuthorizationAttributes): boolean {
  if (attributes.isResource) {
    return (
      isAny(policy.namespace, attributes.namespace) &&
      isAny(policy.resource, attributes.resource) &&
      isAny(policy.apiGroup, attributes.group)
    );
  }
  const { nonResourcePath } = policy;
  if (isAny(nonResourcePath, attributes.path)) return true;
  return nonResourcePath.endsWith("*") && attributes.path.startsWith(nonResourcePath.replace(/\*+$/, ""));
}

/** Policies from a file, which do not change while the server runs. */
export function createAbacAuthorizer(policies: readonly AbacPolicy[]): Authorizer {
  return {
    authorize(attributes) {
      const isReading = READING.has(attributes.verb);
      const isAllowed = policies.some(
        (policy) =>
          (isReading || !policy.isReadOnly) &&
          matchesSubject(policy, attributes.user) &&
          matchesObject(policy, attributes),
      );
      return isAllowed ? ALLOW : { verdict: "noOpinion", reason: "No policy matched." };
    },
    rulesFor(user, namespace) {
      const rules: PolicyRule[] = [];
      for (const policy of policies) {
        if (!matchesSubject(policy, user) || !isAny(policy.namespace, namespace)) continue;
        const verbs = policy.isReadOnly ? ["get", "list", "watch"] : ["*"];
        if (policy.resource !== "") rules.push({ verbs, apiGroups: [policy.apiGroup], resources: [policy.resource] });
        if (policy.nonResourcePath !== "") rules.push({ verbs, nonResourceURLs: [policy.nonResourcePath] });
      }
      return { rules, isIncomplete: false, errors: [] };
    },
  };
}
