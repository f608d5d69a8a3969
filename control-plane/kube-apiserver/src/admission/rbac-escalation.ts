import { equalJson, forbidden, isObject, notFound, type Json } from "@coracle/apimachinery";
import type { PolicyRule, RoleRef } from "@coracle/api/rbac/v1";
import { MASTERS_GROUP } from "../authentication/user.ts";
import type { AuthorizationAttributes, Authorizer } from "../authorization/authorizer.ts";
import { printRule, uncovered } from "../authorization/policy-rule.ts";
import type { RbacAuthorizer } from "../authorization/rbac.ts";
import type { AdmissionAttributes } from "../registry/registry.ts";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type { AdmissionPlugin } from "./plugin.ts";

const GROUP = "rbac.authorization.k8s.io";

const FULL_AUTHORITY: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

function hasAggregationRule(object: ApiObject | ApiDraft | undefined): boolean {
  const rule = object?.["aggregationRule"];
  return isObject(rule) && Array.isArray(rule["clusterRoleSelectors"]) && rule["clusterRoleSelectors"].length > 0;
}

/** Whether a change touches only what the garbage collector must be able to change. */
function isForCollectorOnly(before: ApiObject, after: ApiObject | ApiDraft): boolean {
  const rest = (object: ApiObject | ApiDraft): unknown => {
    const {
      ownerReferences: _,
      finalizers: __,
      managedFields: ___,
      resourceVersion: ____,
      ...metadata
    } = object.metadata;
    return { ...object, metadata };
  };
  return equalJson(rest(before) as Json, rest(after) as Json);
}

/** What is missing, one line each, in order; what is missing of one resource stands in one line. */
function printRules(rules: readonly PolicyRule[]): string {
  const lines: PolicyRule[] = [];
  const simple = new Map<string, PolicyRule>();
  for (const rule of rules) {
    const { apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [], verbs } = rule;
    const isSimple = apiGroups.length === 1 && resources.length === 1 && nonResourceURLs.length === 0;
    const key = JSON.stringify([apiGroups, resources, resourceNames]);
    const known = isSimple && resourceNames.length < 2 ? simple.get(key) : undefined;
    if (known === undefined) {
      lines.push(rule);
      if (isSimple) simple.set(key, rule);
      continue;
    }
    const merged = { ...known, verbs: [...known.verbs, ...verbs.filter((verb) => !known.verbs.includes(verb))] };
    lines[lines.indexOf(known)] = merged;
    simple.set(key, merged);
  }
  return [...new Set(lines.map(printRule))].toSorted().join("\n");
}

/**
 * Nobody grants more than he has: a role's or binding's rules must be covered by the writer's own, unless he holds
 * the verbs `escalate` (roles) or `bind` (bindings). Upstream does this in the storage of these kinds; here it runs
 * last in the chain, so it sees what will be stored.
 */
export function rbacEscalation(authorizer: Authorizer, rbac: () => RbacAuthorizer | undefined): AdmissionPlugin {
  async function may(attributes: AdmissionAttributes, verb: string, resource: string, name: string): Promise<boolean> {
    const question: AuthorizationAttributes = {
      user: attributes.context.user,
      verb,
      isResource: true,
      group: GROUP,
      version: "v1",
      resource,
      subresource: "",
      namespace: attributes.namespace,
      name,
      path: "",
    };
    return (await authorizer.authorize(question)).verdict === "allow";
  }

  function refuse(
    attributes: AdmissionAttributes,
    index: RbacAuthorizer,
    wanted: readonly PolicyRule[],
  ): Error | undefined {
    const { user } = attributes.context;
    const { rules, errors } = index.rulesFor(user, attributes.namespace);
    const missing = uncovered(rules, wanted);
    if (missing.length === 0) return undefined;
    const groups = `[${user.groups.map((group) => JSON.stringify(group)).join(" ")}]`;
    const resolution = errors.length === 0 ? "" : `; resolution errors: [${errors.join(", ")}]`;
    return forbidden(
      { group: GROUP, resource: attributes.resource },
      attributes.name,
      `user ${JSON.stringify(user.name)} (groups=${groups}) is attempting to grant RBAC permissions not currently held:\n${printRules(missing)}${resolution}`,
    );
  }

  return {
    name: "RBACEscalation",
    scope: {
      operations: ["CREATE", "UPDATE"],
      resources: ["roles", "clusterroles", "rolebindings", "clusterrolebindings"].map((plural) => `${GROUP}/${plural}`),
    },
    async validate(attributes) {
      const index = rbac();
      const { object, resource } = attributes;
      if (index === undefined || object === undefined) return;
      if (attributes.context.user.groups.includes(MASTERS_GROUP)) return;
      if (attributes.oldObject !== undefined && isForCollectorOnly(attributes.oldObject, object)) return;
      let wanted: readonly PolicyRule[];
      if (resource === "roles" || resource === "clusterroles") {
        wanted = (object["rules"] ?? []) as readonly PolicyRule[];
        if (await may(attributes, "escalate", resource, attributes.name)) return;
      } else {
        const { roleRef } = object as unknown as { readonly roleRef: RoleRef };
        const role = roleRef.kind === "ClusterRole" ? "clusterroles" : "roles";
        if (await may(attributes, "bind", role, roleRef.name)) return;
        // Binding a role that does not exist grants nothing yet; only those who may bind can do it.
        const rules = index.roleRules(roleRef, attributes.namespace);
        if (rules === undefined) {
          throw notFound({ group: GROUP, resource }, roleRef.name);
        }
        wanted = rules;
      }
      const refusal = refuse(attributes, index, wanted);
      if (refusal !== undefined) throw refusal;
      // What an aggregation rule gathers can be anything.
      const gathers = hasAggregationRule(object) || hasAggregationRule(attributes.oldObject);
      if (gathers && refuse(attributes, index, FULL_AUTHORITY) !== undefined) {
        const why = "must have cluster-admin privileges to use the aggregationRule";
        throw forbidden({ group: GROUP, resource }, attributes.name, why);
      }
    },
  };
}
