import type { PolicyRule } from "@coracle/api/rbac/v1";
import type { AuthorizationAttributes } from "./authorizer.ts";

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes(value) || list.includes("*"));

function matchesResource(rule: PolicyRule, resource: string, subresource: string): boolean {
  const { resources } = rule;
  if (resources === undefined) return false;
  if (resources.includes("*")) return true;
  if (subresource === "") return resources.includes(resource);
  return resources.includes(`${resource}/${subresource}`) || resources.includes(`*/${subresource}`);
}

function matchesPath(rule: PolicyRule, path: string): boolean {
  return (rule.nonResourceURLs ?? []).some(
    (pattern) =>
      pattern === path || pattern === "*" || (pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1))),
  );
}

/** Whether a rule speaks of this verb on this kind of thing, whatever its name. */
export function matchesKind(rule: PolicyRule, attributes: AuthorizationAttributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false;
  if (!attributes.isResource) return matchesPath(rule, attributes.path);
  return has(rule.apiGroups, attributes.group) && matchesResource(rule, attributes.resource, attributes.subresource);
}

/** Whether a rule allows it. */
export function allows(rule: PolicyRule, attributes: AuthorizationAttributes): boolean {
  if (!matchesKind(rule, attributes)) return false;
  const names = rule.resourceNames;
  return !attributes.isResource || names === undefined || names.length === 0 || names.includes(attributes.name);
}

const covers = (owned: readonly string[] | undefined, wanted: string): boolean => has(owned, wanted);

function coversResource(owned: readonly string[] | undefined, wanted: string): boolean {
  if (covers(owned, wanted)) return true;
  const slash = wanted.indexOf("/");
  return slash !== -1 && (owned ?? []).includes(`*${wanted.slice(slash)}`);
}

function coversPath(owned: readonly string[] | undefined, wanted: string): boolean {
  return (owned ?? []).some(
    (path) => path === wanted || (path.endsWith("*") && wanted.replace(/\*$/, "").startsWith(path.slice(0, -1))),
  );
}

/** One verb on one resource (and name) each: the smallest pieces of a rule. */
function* breakDown(rule: PolicyRule): Generator<PolicyRule> {
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs ?? []) yield { verbs: [verb], nonResourceURLs: [url] };
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const piece = { verbs: [verb], apiGroups: [group], resources: [resource] };
        const names = rule.resourceNames ?? [];
        if (names.length === 0) yield piece;
        else for (const name of names) yield { ...piece, resourceNames: [name] };
      }
    }
  }
}

function coversPiece(owner: PolicyRule, piece: PolicyRule): boolean {
  if (!covers(owner.verbs, piece.verbs[0]!)) return false;
  if (piece.nonResourceURLs !== undefined) return coversPath(owner.nonResourceURLs, piece.nonResourceURLs[0]!);
  if (!covers(owner.apiGroups, piece.apiGroups![0]!) || !coversResource(owner.resources, piece.resources![0]!))
    return false;
  const owned = owner.resourceNames ?? [];
  if (owned.length === 0) return true;
  return piece.resourceNames !== undefined && owned.includes(piece.resourceNames[0]!);
}

/** A rule has as many pieces as the product of its lists: nobody reads on beyond so many. */
const MOST_MISSING = 1_000;

/** The parts of `wanted` that no rule of `owned` grants; of very many, the first. */
export function uncovered(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing: PolicyRule[] = [];
  for (const rule of wanted) {
    for (const piece of breakDown(rule)) {
      if (owned.some((one) => coversPiece(one, piece))) continue;
      missing.push(piece);
      if (missing.length >= MOST_MISSING) return missing;
    }
  }
  return missing;
}

const quoted = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(" ")}]`;

/** `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`: how refusals print a rule. */
export function printRule(rule: PolicyRule): string {
  const parts: string[] = [];
  const add = (name: string, list: readonly string[] | undefined): void => {
    if (list !== undefined && list.length > 0) parts.push(`${name}:${quoted(list)}`);
  };
  add("APIGroups", rule.apiGroups);
  add("Resources", rule.resources);
  add("ResourceNames", rule.resourceNames);
  add("NonResourceURLs", rule.nonResourceURLs);
  add("Verbs", rule.verbs);
  return `{${parts.join(", ")}}`;
}
