import type { RuleWithOperations } from "@coracle/api/admissionregistration/v1";
import type { TypeName } from "../../registry/resource-catalog.ts";
import type { AdmissionOperation, ServedVersion } from "../../registry/registry.ts";

/** The part of a request that rules speak of. */
export interface RuleSubject {
  readonly operation: AdmissionOperation;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  /** Of a namespace itself: its name. */
  readonly namespace: string;
}

const has = (items: readonly string[] | undefined, wanted: string): boolean =>
  items !== undefined && (items.includes("*") || items.includes(wanted));

function scopeMatches(scope: string | undefined, subject: RuleSubject): boolean {
  if (scope === undefined || scope === "*") return true;
  const isNamespace = subject.group === "" && subject.version === "v1" && subject.resource === "namespaces";
  const isInNamespace = !isNamespace && subject.namespace !== "";
  if (scope === "Namespaced") return isInNamespace;
  return scope === "Cluster" && !isInNamespace;
}

function resourceMatches(resources: readonly string[] | undefined, subject: RuleSubject): boolean {
  for (const text of resources ?? []) {
    const slash = text.indexOf("/");
    const resource = slash === -1 ? text : text.slice(0, slash);
    const subresource = slash === -1 ? "" : text.slice(slash + 1);
    if (resource !== "*" && resource !== subject.resource) continue;
    if (subresource === "*" || subresource === subject.subresource) return true;
  }
  return false;
}

/** Whether a rule is about the request. */
export function ruleMatches(rule: RuleWithOperations, subject: RuleSubject): boolean {
  return (
    has(rule.operations, subject.operation) &&
    has(rule.apiGroups, subject.group) &&
    has(rule.apiVersions, subject.version) &&
    resourceMatches(rule.resources, subject) &&
    scopeMatches(rule.scope, subject)
  );
}

/**
 * As what a webhook with these rules gets the request: as itself, or, when equivalents count, as the first of them
 * that an earlier rule names. Undefined: it does not get it.
 */
export function matchRules(
  rules: readonly RuleWithOperations[],
  subject: RuleSubject & { readonly kind: TypeName },
  equivalents: () => readonly ServedVersion[],
): ServedVersion | undefined {
  if (rules.some((rule) => ruleMatches(rule, subject))) return subject;
  const others = equivalents();
  for (const rule of others.length === 0 ? [] : rules) {
    const found = others.find((other) => {
      const { group, version, resource } = other;
      return ruleMatches(rule, { ...subject, group, version, resource });
    });
    if (found !== undefined) return found;
  }
  return undefined;
}
