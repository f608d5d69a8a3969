import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from "@coracle/api/flowcontrol/v1";
import type { UserInfo } from "../authentication/user.ts";
import type { RequestInfo } from "../server/request-info.ts";

const SERVICE_ACCOUNT = "system:serviceaccount:";

function isSubject(user: UserInfo, subject: Subject): boolean {
  switch (subject.kind) {
    case "User":
      return subject.user !== undefined && (subject.user.name === "*" || subject.user.name === user.name);
    case "Group":
      return subject.group !== undefined && (subject.group.name === "*" || user.groups.includes(subject.group.name));
    case "ServiceAccount": {
      if (subject.serviceAccount === undefined) return false;
      const { namespace, name } = subject.serviceAccount;
      const prefix = `${SERVICE_ACCOUNT}${namespace}:`;
      return name === "*" ? user.name.startsWith(prefix) : user.name === `${prefix}${name}`;
    }
    default:
      return false;
  }
}

/** A wildcard counts where it stands alone. */
const holds = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && ((list.length === 1 && list[0] === "*") || list.includes(value));

function matchesResource(info: RequestInfo, rule: ResourcePolicyRule): boolean {
  if (!holds(rule.verbs, info.verb)) return false;
  const resource = info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`;
  if (!holds(rule.resources, resource) || !holds(rule.apiGroups, info.group)) return false;
  return info.namespace === "" ? rule.clusterScope === true : holds(rule.namespaces, info.namespace);
}

function matchesPath(info: RequestInfo, rule: NonResourcePolicyRule): boolean {
  if (!holds(rule.verbs, info.verb)) return false;
  return rule.nonResourceURLs.some((path) => {
    if (path === "*" || path === info.path) return true;
    const prefix = path.replace(/\*$/, "");
    return info.path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
  });
}

function matchesRules(info: RequestInfo, rules: readonly PolicyRulesWithSubjects[]): boolean {
  for (const rule of rules) {
    if (info.isResource) {
      for (const one of rule.resourceRules ?? []) if (matchesResource(info, one)) return true;
    } else for (const one of rule.nonResourceRules ?? []) if (matchesPath(info, one)) return true;
  }
  return false;
}

/** Schemas in the order in which they are asked: by precedence, then by name. */
export function inMatchingOrder(schemas: readonly FlowSchema[]): FlowSchema[] {
  const precedence = ({ spec }: FlowSchema): number => spec.matchingPrecedence ?? 0;
  return schemas.toSorted((a, b) => {
    if (precedence(a) !== precedence(b)) return precedence(a) - precedence(b);
    return a.metadata.name! < b.metadata.name! ? -1 : 1;
  });
}

interface Candidate<Target> {
  readonly target: Target;
  readonly rules: readonly PolicyRulesWithSubjects[];
}

/**
 * Finds the first schema that matches a request. What concerns the user is found out once for each user, so that a
 * request costs a few comparisons of texts.
 */
export class SchemaMatcher<Target> {
  readonly #schemas: readonly { readonly schema: FlowSchema; readonly target: Target }[];
  readonly #byUser = new WeakMap<UserInfo, readonly Candidate<Target>[]>();

  /** `schemas` in matching order. */
  constructor(schemas: readonly { readonly schema: FlowSchema; readonly target: Target }[]) {
    this.#schemas = schemas;
  }

  match(user: UserInfo, info: RequestInfo): Target | undefined {
    let candidates = this.#byUser.get(user);
    if (candidates === undefined) this.#byUser.set(user, (candidates = this.#candidatesOf(user)));
    for (const { target, rules } of candidates) if (matchesRules(info, rules)) return target;
    return undefined;
  }

  #candidatesOf(user: UserInfo): Candidate<Target>[] {
    return this.#schemas.flatMap(({ schema, target }) => {
      const rules = (schema.spec.rules ?? []).filter((rule) => rule.subjects.some((one) => isSubject(user, one)));
      return rules.length === 0 ? [] : [{ target, rules }];
    });
  }
}
