import type { MatchResources, NamedRuleWithOperations } from "@coracle/api/admissionregistration/v1";
import { compileLabelSelector, type Draft, type Labels, type Selector } from "@coracle/apimachinery";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import { kindOf, namespaceOf } from "../webhook/admission-request.ts";
import type { KindVersions } from "../webhook/kind-versions.ts";
import { ruleMatches, type RuleSubject } from "../webhook/matching.ts";

const NAMESPACES = { group: "", version: "v1", plural: "namespaces" };

/** What decides whether a policy or a binding is about a request. */
export interface Criteria {
  readonly rules: readonly NamedRuleWithOperations[];
  readonly excluded: readonly NamedRuleWithOperations[];
  /** Undefined: everything. */
  readonly namespaceSelector: Selector | undefined;
  readonly objectSelector: Selector | undefined;
  readonly matchesEquivalent: boolean;
}

function selectorOf(selector: MatchResources["objectSelector"]): Selector | undefined {
  const compiled = compileLabelSelector(selector ?? {});
  return compiled.requirements.length === 0 && !compiled.matchesNothing ? undefined : compiled;
}

/** Criteria of the API, with what is worked out once. */
export function compileCriteria(match: MatchResources): Criteria {
  return {
    rules: match.resourceRules ?? [],
    excluded: match.excludeResourceRules ?? [],
    namespaceSelector: selectorOf(match.namespaceSelector),
    objectSelector: selectorOf(match.objectSelector),
    matchesEquivalent: match.matchPolicy === "Equivalent",
  };
}

interface MatchingDeps {
  readonly objects: RegistryReader;
  readonly versions: KindVersions;
}

const labelsOf = (object: unknown): Labels | undefined =>
  ((object as Draft | undefined)?.metadata as Draft | undefined)?.labels as Labels | undefined;

function objectMatches(selector: Selector | undefined, { object, oldObject }: AdmissionAttributes): boolean {
  if (selector === undefined) return true;
  const has = (one: unknown): boolean =>
    (one as Draft | undefined)?.metadata !== undefined && selector.matches(labelsOf(one));
  return has(object) || has(oldObject);
}

async function namespaceMatches(
  selector: Selector | undefined,
  attributes: AdmissionAttributes,
  objects: RegistryReader,
): Promise<boolean> {
  if (selector === undefined) return true;
  const { resource, group, subresource, operation, object } = attributes;
  const isNamespace = group === "" && resource === "namespaces";
  const name = namespaceOf(attributes);
  if (name === "" && !isNamespace) return true;
  const isWritten = operation === "CREATE" || operation === "UPDATE";
  if (isNamespace && subresource === "" && isWritten) return selector.matches(labelsOf(object));
  const found = await objects.get(NAMESPACES, "", name);
  if (found === undefined) throw new Error(`namespaces "${name}" not found`);
  return selector.matches(labelsOf(found));
}

const named = (rule: NamedRuleWithOperations, name: string): boolean =>
  (rule.resourceNames?.length ?? 0) === 0 || rule.resourceNames!.includes(name);

function ruledAs(
  rules: readonly NamedRuleWithOperations[],
  criteria: Criteria,
  attributes: AdmissionAttributes,
  versions: KindVersions,
): ServedVersion | undefined {
  const { operation, group, version, resource, subresource, name } = attributes;
  const namespace = namespaceOf(attributes);
  const subject: RuleSubject = { operation, group, version, resource, subresource, namespace };
  const asked = attributes.isUnnamed === true ? "" : name;
  if (rules.some((rule) => ruleMatches(rule, subject) && named(rule, asked))) {
    return { group, version, resource, kind: kindOf(attributes) };
  }
  if (!criteria.matchesEquivalent || rules.length === 0) return undefined;
  const others = versions.equivalents(attributes);
  for (const rule of rules) {
    const found = others.find((other) => {
      const equivalent = { ...subject, group: other.group, version: other.version, resource: other.resource };
      return ruleMatches(rule, equivalent) && named(rule, asked);
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** As what a request is looked at; undefined: not at all. Throws an Error when that cannot be known. */
export async function matchCriteria(
  criteria: Criteria,
  attributes: AdmissionAttributes,
  { objects, versions }: MatchingDeps,
): Promise<ServedVersion | undefined> {
  if (!objectMatches(criteria.objectSelector, attributes)) return undefined;
  if (ruledAs(criteria.excluded, criteria, attributes, versions) !== undefined) return undefined;
  const { group, version, resource } = attributes;
  const as =
    criteria.rules.length === 0
      ? { group, version, resource, kind: kindOf(attributes) }
      : ruledAs(criteria.rules, criteria, attributes, versions);
  if (as === undefined) return undefined;
  return (await namespaceMatches(criteria.namespaceSelector, attributes, objects)) ? as : undefined;
}
