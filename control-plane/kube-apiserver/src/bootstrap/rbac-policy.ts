import { parseTable } from "@coracle/api";
import type { PolicyRule, Subject } from "@coracle/api/rbac/v1";
import type { JsonObject } from "@coracle/apimachinery";
import type { Features } from "../features.ts";
import { gatedPolicy } from "./gated-policy.ts";

const GROUP = "rbac.authorization.k8s.io";
const CONTROLLERS_NAMESPACE = "kube-system";

interface RoleRow {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly rules: readonly PolicyRule[] | null;
  readonly aggregationRule?: {
    readonly clusterRoleSelectors: readonly { readonly matchLabels: Readonly<Record<string, string>> }[];
  };
}
interface BindingRow {
  readonly namespace?: string;
  /** `KIND/NAME`. */
  readonly roleRef: string;
  readonly subjects: readonly Subject[];
}
interface PolicyTable {
  readonly common: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly clusterRoles: Readonly<Record<string, RoleRow>>;
  readonly clusterRoleBindings: Readonly<Record<string, BindingRow>>;
  readonly controllerRoles: Readonly<Record<string, RoleRow>>;
  readonly controllerRoleBindings: Readonly<Record<string, BindingRow>>;
  readonly namespaceRoles: Readonly<Record<string, RoleRow>>;
  readonly namespaceRoleBindings: Readonly<Record<string, BindingRow>>;
}

/** An RBAC object that the server keeps in existence. */
export interface PolicyObject {
  readonly plural: "clusterroles" | "clusterrolebindings" | "roles" | "rolebindings";
  readonly namespace: string;
  readonly name: string;
  readonly object: JsonObject;
}

/** Rules of the cluster roles whose labels a role's aggregation rule selects, each once, through any depth. */
function aggregate(roles: Readonly<Record<string, RoleRow>>, name: string, seen = new Set<string>()): PolicyRule[] {
  const role = roles[name];
  if (role === undefined || seen.has(name)) return [];
  seen.add(name);
  if (role.aggregationRule === undefined) return [...(role.rules ?? [])];
  const rules: PolicyRule[] = [];
  const known = new Set<string>();
  for (const selector of role.aggregationRule.clusterRoleSelectors) {
    for (const other of Object.keys(roles).toSorted()) {
      const labels = roles[other]?.labels ?? {};
      if (!Object.entries(selector.matchLabels).every(([key, value]) => labels[key] === value)) continue;
      for (const rule of aggregate(roles, other, seen)) {
        const key = JSON.stringify(rule);
        if (!known.has(key)) rules.push(rule);
        known.add(key);
      }
    }
  }
  return rules;
}

const plainName = (key: string): string => key.slice(key.indexOf("/") + 1);

/** The table, with what features add to it. */
function withFeatures(table: PolicyTable, features: Features): PolicyTable {
  if (features.size === 0) return table;
  const { roles, controllers, bindings } = gatedPolicy(features);
  const clusterRoles = { ...table.clusterRoles };
  for (const [name, rules] of roles)
    clusterRoles[name] = { ...clusterRoles[name], rules: [...(clusterRoles[name]?.rules ?? []), ...rules] };
  const controllerRoles = { ...table.controllerRoles };
  const controllerRoleBindings = { ...table.controllerRoleBindings };
  for (const [controller, rules] of controllers) {
    const name = `system:controller:${controller}`;
    controllerRoles[name] = { rules };
    controllerRoleBindings[name] = {
      roleRef: `ClusterRole/${name}`,
      subjects: [{ kind: "ServiceAccount", name: controller }],
    };
  }
  const clusterRoleBindings = { ...table.clusterRoleBindings };
  for (const [role, group] of bindings)
    clusterRoleBindings[role] = {
      roleRef: `ClusterRole/${role}`,
      subjects: [{ kind: "Group", apiGroup: GROUP, name: group }],
    };
  return { ...table, clusterRoles, controllerRoles, controllerRoleBindings, clusterRoleBindings };
}

/** All roles and bindings of a new cluster with these features. */
export function readRbacPolicy(features: Features): PolicyObject[] {
  const table = withFeatures(parseTable("rbac-bootstrap") as PolicyTable, features);
  const out: PolicyObject[] = [];
  const metadata = (name: string, namespace: string, labels: Readonly<Record<string, string>> = {}): JsonObject => ({
    name,
    ...(namespace === "" ? {} : { namespace }),
    labels: { ...labels, ...table.common.labels },
    annotations: table.common.annotations,
  });
  const addRole = (name: string, row: RoleRow, roles: Readonly<Record<string, RoleRow>>): void => {
    const namespace = row.namespace ?? "";
    // What the aggregation controller would write a moment later is written at once.
    const rules = row.aggregationRule === undefined ? (row.rules ?? []) : aggregate(roles, name);
    out.push({
      plural: namespace === "" ? "clusterroles" : "roles",
      namespace,
      name,
      object: {
        kind: namespace === "" ? "ClusterRole" : "Role",
        apiVersion: `${GROUP}/v1`,
        metadata: metadata(name, namespace, row.labels),
        ...(row.aggregationRule === undefined ? {} : { aggregationRule: row.aggregationRule as unknown as JsonObject }),
        rules: rules as unknown as JsonObject[],
      },
    });
  };
  const addBinding = (name: string, row: BindingRow): void => {
    const namespace = row.namespace ?? "";
    const [kind, role] = [row.roleRef.slice(0, row.roleRef.indexOf("/")), plainName(row.roleRef)];
    out.push({
      plural: namespace === "" ? "clusterrolebindings" : "rolebindings",
      namespace,
      name,
      object: {
        kind: namespace === "" ? "ClusterRoleBinding" : "RoleBinding",
        apiVersion: `${GROUP}/v1`,
        metadata: metadata(name, namespace),
        roleRef: { apiGroup: GROUP, kind, name: role },
        ...(row.subjects.length === 0 ? {} : { subjects: row.subjects as unknown as JsonObject[] }),
      },
    });
  };
  for (const [name, row] of Object.entries(table.clusterRoles)) addRole(name, row, table.clusterRoles);
  for (const [name, row] of Object.entries(table.controllerRoles)) addRole(name, row, table.clusterRoles);
  for (const [key, row] of Object.entries(table.namespaceRoles)) addRole(plainName(key), row, table.clusterRoles);
  for (const [name, row] of Object.entries(table.clusterRoleBindings)) addBinding(name, row);
  for (const [name, row] of Object.entries(table.controllerRoleBindings)) {
    addBinding(name, {
      ...row,
      subjects: row.subjects.map((subject) => ({ namespace: CONTROLLERS_NAMESPACE, ...subject })),
    });
  }
  for (const [key, row] of Object.entries(table.namespaceRoleBindings)) addBinding(plainName(key), row);
  return out;
}

/** Rules of the role system:node, which the node authoriser reads. */
export function nodeRules(features: Features): readonly PolicyRule[] {
  const { clusterRoles } = withFeatures(parseTable("rbac-bootstrap") as PolicyTable, features);
  return clusterRoles["system:node"]?.rules ?? [];
}
