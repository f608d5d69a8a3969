import type { ResourceQuota, ScopedResourceSelectorRequirement } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import type { JsonObject } from "../json/json.ts";
import type { Amounts } from "./amounts.ts";

/** A write, as quota sees it. */
export interface QuotaRequest {
  readonly operation: string;
  readonly subresource: string;
  readonly object: JsonObject | undefined;
  readonly oldObject: JsonObject | undefined;
}

/** What objects of one kind use, and which names of a quota count that. */
export interface QuotaEvaluator {
  readonly group: string;
  /** Plural. */
  readonly resource: string;
  /** Whether such a write may use more. */
  handles(request: QuotaRequest): boolean;
  /** What an object must say so that the use of these names can be known; undefined: it says enough. */
  missing?(names: readonly string[], object: JsonObject): string | undefined;
  /** Those of the names that count something of this kind. */
  matchingNames(names: Iterable<string>): string[];
  /** Whether the object lies in a scope. Absent: kinds without scopes lie in none. */
  isInScope?(scope: ScopedResourceSelectorRequirement, object: JsonObject): boolean;
  usage(object: JsonObject, now: Instant): Amounts;
}

/** The scopes of a quota as selectors. */
export function scopesOf(quota: ResourceQuota): readonly ScopedResourceSelectorRequirement[] {
  const plain = (quota.spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: "Exists" }));
  return [...plain, ...(quota.spec?.scopeSelector?.matchExpressions ?? [])];
}

/** Whether an object lies in all the quota's scopes. */
export function isInScopes(quota: ResourceQuota, evaluator: QuotaEvaluator, object: JsonObject): boolean {
  return scopesOf(quota).every((scope) => evaluator.isInScope?.(scope, object) ?? false);
}

/** Whether `value` satisfies a selector's operator; undefined: there is none. */
export function matchesOperator(selector: ScopedResourceSelectorRequirement, value: string | undefined): boolean {
  const { operator, values = [] } = selector;
  switch (operator) {
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    default:
      return false;
  }
}
