import type { PolicyRule, RoleRef, Subject } from "@coracle/api/rbac/v1";
import type { UserInfo } from "../authentication/user.ts";
import { followResource, type Mirror } from "../registry/registry-mirror.ts";
import type { Registry } from "../registry/registry.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import {
  NO_OPINION,
  type AuthorizationAttributes,
  type Authorizer,
  type Decision,
  type ResolvedRules,
} from "./authorizer.ts";
import { joinErrors } from "../authentication/authenticator.ts";
import { matchesKind } from "./policy-rule.ts";

interface Grant {
  /** `""`: everywhere. */
  readonly namespace: string;
  readonly roleRef: RoleRef;
  readonly bindingName: string;
  readonly subject: Subject;
}

/** Roles and bindings, looked up by subject. Decisions are remembered until something changes. */
export interface RbacAuthorizer extends Authorizer, Disposable {
  readonly synced: Promise<void>;
  /**
   * Everything that `user` is granted in `namespace` (cluster-wide grants included); errors: roles that bindings name
   * but nobody has made.
   */
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

/** Decision for a verb on a resource: for some names, and for all others. */
interface Remembered {
  readonly names: ReadonlyMap<string, Decision> | undefined;
  readonly otherwise: Decision;
}

const MAX_REMEMBERED = 10_000;
/** Whoever asks about longer names wants memory. */
const MAX_KEY_LENGTH = 512;
const SEPARATOR = "\n";

/**
 * What a decision is remembered by; undefined: it is not. Every part can be what the asking user wishes, so parts that
 * hold the separator, by which one question could be taken for another, are not remembered.
 */
export function keyOfQuestion(attributes: AuthorizationAttributes): string | undefined {
  const { isResource, verb, group, resource, subresource, namespace, path } = attributes;
  const key = isResource
    ? `${verb}${SEPARATOR}${group}${SEPARATOR}${resource}${SEPARATOR}${subresource}${SEPARATOR}${namespace}`
    : `${verb}${SEPARATOR}${path}`;
  if (key.length > MAX_KEY_LENGTH) return undefined;
  let separators = 0;
  for (let at = key.indexOf(SEPARATOR); at !== -1; at = key.indexOf(SEPARATOR, at + 1)) separators += 1;
  return separators === (isResource ? 4 : 1) ? key : undefined;
}

function describeSubject({ kind, name, namespace }: Subject, bindingNamespace: string): string {
  if (kind !== "ServiceAccount") return `${kind} ${JSON.stringify(name)}`;
  const home = namespace === undefined || namespace === "" ? bindingNamespace : namespace;
  return `${kind} ${JSON.stringify(`${name}/${home}`)}`;
}

/** `ClusterRoleBinding "b" of ClusterRole "r" to Group "g"`: why something is allowed. */
function describeGrant({ namespace, bindingName, roleRef, subject }: Grant): string {
  const kind = namespace === "" ? "ClusterRoleBinding" : "RoleBinding";
  const name = namespace === "" ? bindingName : `${bindingName}/${namespace}`;
  const role = `${roleRef.kind} ${JSON.stringify(roleRef.name)}`;
  return `${kind} ${JSON.stringify(name)} of ${role} to ${describeSubject(subject, namespace)}`;
}

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
      for (const subject of subjects ?? []) {
        const key = subjectKey(subject, namespace);
        if (key === undefined) continue;
        const grant: Grant = { namespace, roleRef, bindingName: object.metadata["name"] as string, subject };
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

  /** Visits each grant that counts in `namespace`, cluster-wide ones first, until `visit` says that it is enough. */
  function visitGrants(user: UserInfo, namespace: string, visit: (grant: Grant) => boolean): void {
    const index = grantsBySubject();
    const keys = [`u:${user.name}`, ...user.groups.map((group) => `g:${group}`)];
    const scopes = namespace === "" ? [""] : ["", namespace];
    for (const scope of scopes) {
      for (const key of keys) {
        for (const grant of index.get(key) ?? []) if (grant.namespace === scope && visit(grant)) return;
      }
    }
  }

  function missingRole({ roleRef }: Grant): string {
    const kind = roleRef.kind === "ClusterRole" ? "clusterrole" : "role";
    return `${kind}.rbac.authorization.k8s.io ${JSON.stringify(roleRef.name)} not found`;
  }

  function rulesFor(user: UserInfo, namespace: string): ResolvedRules {
    const rules: PolicyRule[] = [];
    const errors = new Set<string>();
    visitGrants(user, namespace, (grant) => {
      const found = roleRules(grant.roleRef, grant.namespace);
      if (found === undefined) errors.add(missingRole(grant));
      else rules.push(...found);
      return false;
    });
    return { rules, isIncomplete: false, errors: [...errors] };
  }

  function decide(attributes: AuthorizationAttributes): Remembered {
    let names: Map<string, Decision> | undefined;
    let allowed: Decision | undefined;
    const errors = new Set<string>();
    visitGrants(attributes.user, attributes.namespace, (grant) => {
      const rules = roleRules(grant.roleRef, grant.namespace);
      if (rules === undefined) errors.add(missingRole(grant));
      for (const rule of rules ?? []) {
        if (!matchesKind(rule, attributes)) continue;
        const decision: Decision = { verdict: "allow", reason: `RBAC: allowed by ${describeGrant(grant)}` };
        if (!attributes.isResource || rule.resourceNames === undefined || rule.resourceNames.length === 0) {
          allowed = decision;
          return true;
        }
        names ??= new Map();
        for (const name of rule.resourceNames) if (!names.has(name)) names.set(name, decision);
      }
      return false;
    });
    const otherwise: Decision =
      allowed ??
      (errors.size === 0 ? NO_OPINION : { verdict: "noOpinion", reason: `RBAC: ${joinErrors([...errors]).message}` });
    return { names, otherwise };
  }

  return {
    synced: Promise.all(mirrors.map((mirror) => mirror.synced)).then(() => {}),
    rulesFor,
    roleRules,
    authorize(attributes): Decision {
      let known = decisions.get(attributes.user);
      if (known === undefined) decisions.set(attributes.user, (known = new Map()));
      const key = keyOfQuestion(attributes);
      let remembered = key === undefined ? undefined : known.get(key);
      if (remembered === undefined) {
        remembered = decide(attributes);
        if (known.size >= MAX_REMEMBERED) known.clear();
        if (key !== undefined) known.set(key, remembered);
      }
      return remembered.names?.get(attributes.name) ?? remembered.otherwise;
    },
    [Symbol.dispose]() {
      for (const mirror of mirrors) mirror[Symbol.dispose]();
    },
  };
}
