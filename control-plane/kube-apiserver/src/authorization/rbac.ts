import type { PolicyRule, RoleRef, Subject } from "@coracle/api/rbac/v1";
import type { UserInfo } from "../authentication/user.ts";
import { followResource, type Mirror } from "../registry/registry-mirror.ts";
import type { Registry } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import { ALLOW, NO_OPINION, type AuthorizationAttributes, type Authorizer, type Decision } from "./authorizer.ts";
import { matchesKind } from "./policy-rule.ts";

interface Grant {
  /** `""`: everywhere. */
  readonly namespace: string;
  readonly roleRef: RoleRef;
  readonly bindingName: string;
}

/** Rules that apply, and roles that bindings name but nobody has made. */
export interface ResolvedRules {
  readonly rules: readonly PolicyRule[];
  readonly missingRoles: readonly string[];
}

/** Roles and bindings, looked up by subject. Decisions are remembered until something changes. */
export interface RbacAuthorizer extends Authorizer, Disposable {
  readonly synced: Promise<void>;
  /** Everything that `user` is granted in `namespace` (cluster-wide grants included). */
  rulesFor(user: UserInfo, namespace: string): ResolvedRules;
  /** Rules of one role; undefined when there is none. */
  roleRules(roleRef: RoleRef, namespace: string): readonly PolicyRule[] | undefined;
}

const RBAC = (plural: string): { group: string; version: string; plural: string } => ({
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural,
});

interface BindingObject {
  readonly roleRef?: RoleRef;
  readonly subjects?: readonly Subject[];
}

/** Under which key a subject's bindings are found. */
function subjectKey(subject: Subject, namespace: string): string | undefined {
  switch (subject.kind) {
    case "User":
      return `u:${subject.name}`;
    case "Group":
      return `g:${subject.name}`;
    case "ServiceAccount":
      return `u:system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}`;
    default:
      return undefined;
  }
}

const keyOf = (object: ApiObject): string =>
  `${(object.metadata["namespace"] as string | undefined) ?? ""}/${object.metadata["name"] as string}`;

/** Decision for a verb on a resource: for every name, for none, or for these. */
type Remembered = boolean | ReadonlySet<string>;

export function createRbacAuthorizer(registry: Registry): RbacAuthorizer {
  const roles = new Map<string, readonly PolicyRule[]>(); // "NAMESPACE/NAME", "/NAME" for cluster roles
  const bindings = new Map<string, ApiObject>();
  let bySubject: Map<string, Grant[]> | undefined;
  let decisions = new WeakMap<UserInfo, Map<string, Remembered>>();

  const changed = (): void => {
    decisions = new WeakMap();
  };
  const bindingsChanged = (): void => {
    bySubject = undefined;
    changed();
  };
  const roleHandlers = (isCluster: boolean): Parameters<typeof followResource>[2] => ({
    upsert(object) {
      roles.set(keyOf(object), (object["rules"] as readonly PolicyRule[] | null | undefined) ?? []);
      changed();
    },
    removed(object) {
      roles.delete(keyOf(object));
      changed();
    },
    reset() {
      for (const key of roles.keys()) if (key.startsWith("/") === isCluster) roles.delete(key);
      changed();
    },
  });
  const bindingHandlers = (isCluster: boolean): Parameters<typeof followResource>[2] => ({
    upsert(object) {
      bindings.set(keyOf(object), object);
      bindingsChanged();
    },
    removed(object) {
      bindings.delete(keyOf(object));
      bindingsChanged();
    },
    reset() {
      for (const key of bindings.keys()) if (key.startsWith("/") === isCluster) bindings.delete(key);
      bindingsChanged();
    },
  });
  const mirrors: Mirror[] = [
    followResource(registry, RBAC("roles"), roleHandlers(false)),
    followResource(registry, RBAC("clusterroles"), roleHandlers(true)),
    followResource(registry, RBAC("rolebindings"), bindingHandlers(false)),
    followResource(registry, RBAC("clusterrolebindings"), bindingHandlers(true)),
  ];

  function grantsBySubject(): Map<string, Grant[]> {
    if (bySubject !== undefined) return bySubject;
    const index = new Map<string, Grant[]>();
    for (const object of bindings.values()) {
      const { roleRef, subjects } = object as unknown as BindingObject;
      if (roleRef === undefined) continue;
      const namespace = (object.metadata["namespace"] as string | undefined) ?? "";
      const grant: Grant = { namespace, roleRef, bindingName: object.metadata["name"] as string };
      for (const subject of subjects ?? []) {
        const key = subjectKey(subject, namespace);
        if (key === undefined) continue;
        const list = index.get(key);
        if (list === undefined) index.set(key, [grant]);
        else list.push(grant);
      }
    }
    return (bySubject = index);
  }

  function roleRules(roleRef: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    return roles.get(roleRef.kind === "ClusterRole" ? `/${roleRef.name}` : `${namespace}/${roleRef.name}`);
  }

  function rulesFor(user: UserInfo, namespace: string): ResolvedRules {
    const index = grantsBySubject();
    const rules: PolicyRule[] = [];
    const missingRoles: string[] = [];
    const collect = (key: string): void => {
      for (const grant of index.get(key) ?? []) {
        if (grant.namespace !== "" && grant.namespace !== namespace) continue;
        const found = roleRules(grant.roleRef, grant.namespace);
        if (found !== undefined) rules.push(...found);
        else {
          const kind = grant.roleRef.kind === "ClusterRole" ? "clusterrole" : "role";
          missingRoles.push(`${kind}.rbac.authorization.k8s.io ${JSON.stringify(grant.roleRef.name)} not found`);
        }
      }
    };
    collect(`u:${user.name}`);
    for (const group of user.groups) collect(`g:${group}`);
    return { rules, missingRoles };
  }

  function decide(attributes: AuthorizationAttributes): Remembered {
    const names = new Set<string>();
    for (const rule of rulesFor(attributes.user, attributes.namespace).rules) {
      if (!matchesKind(rule, attributes)) continue;
      if (!attributes.isResource || rule.resourceNames === undefined || rule.resourceNames.length === 0) return true;
      for (const name of rule.resourceNames) names.add(name);
    }
    return names.size === 0 ? false : names;
  }

  return {
    synced: Promise.all(mirrors.map((mirror) => mirror.synced)).then(() => {}),
    rulesFor,
    roleRules,
    authorize(attributes): Decision {
      let known = decisions.get(attributes.user);
      if (known === undefined) decisions.set(attributes.user, (known = new Map()));
      const key = attributes.isResource
        ? `${attributes.verb} ${attributes.group}/${attributes.resource}/${attributes.subresource} ${attributes.namespace}`
        : `${attributes.verb} ${attributes.path}`;
      let remembered = known.get(key);
      if (remembered === undefined) {
        remembered = decide(attributes);
        if (known.size > 10_000) known.clear();
        known.set(key, remembered);
      }
      if (remembered === true || (remembered !== false && remembered.has(attributes.name))) return ALLOW;
      const { missingRoles } = rulesFor(attributes.user, attributes.namespace);
      if (missingRoles.length === 0) return NO_OPINION;
      const list = missingRoles.length === 1 ? missingRoles[0]! : `[${missingRoles.join(", ")}]`;
      return { verdict: "noOpinion", reason: `RBAC: ${list}` };
    },
    [Symbol.dispose]() {
      for (const mirror of mirrors) mirror[Symbol.dispose]();
    },
  };
}
