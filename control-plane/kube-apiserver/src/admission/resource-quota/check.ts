import {
  addAmounts,
  exceeding,
  growth,
  isInScopes,
  maskAmounts,
  printAmounts,
  readAmounts,
  scopesOf,
  withoutZeros,
  type Amounts,
  type JsonObject,
  type QuotaEvaluator,
} from "@coracle/apimachinery";
import type { ResourceQuota, ScopedResourceSelectorRequirement } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";

/** A resource that may be used only where a quota covers it. */
export interface LimitedResource {
  readonly apiGroup?: string;
  /** Plural. */
  readonly resource: string;
  /** Names (or parts of names) of a quota that must be covered. */
  readonly matchContains?: readonly string[];
  /** Objects in these scopes need a quota with the scope. */
  readonly matchScopes?: readonly ScopedResourceSelectorRequirement[];
}

/** A quota as far as charging it is concerned. */
export interface QuotaState {
  readonly quota: ResourceQuota;
  readonly hard: Amounts;
  readonly used: Amounts;
}

/** A write that is to be charged. */
export interface ChargedRequest {
  readonly operation: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly object: JsonObject;
  readonly oldObject: JsonObject | undefined;
}

/** What becomes of a write: refused (`isPlain`: in words that do not name the object), or the quotas after it. */
export type Verdict =
  | { readonly type: "refused"; readonly why: string; readonly isPlain?: boolean }
  | { readonly type: "charged"; readonly quotas: readonly QuotaState[] };

/** Reads what the status says. */
export function quotaState(quota: ResourceQuota): QuotaState {
  const { hard, used } = quota.status ?? {};
  return {
    quota,
    hard: readAmounts(hard as Record<string, string> | undefined),
    used: readAmounts(used as Record<string, string> | undefined),
  };
}

/** `[{PriorityClass In [high]}]`: as upstream prints selectors. */
const printScopes = (scopes: readonly ScopedResourceSelectorRequirement[]): string =>
  `[${scopes.map(({ scopeName, operator, values = [] }) => `{${scopeName} ${operator} [${values.join(" ")}]}`).join(" ")}]`;

const sorted = (names: Iterable<string>): string => [...names].toSorted().join(",");
const refused = (why: string): Verdict => ({ type: "refused", why });

/** Names of what the object uses that a quota must cover. */
function limitedNames(limits: readonly LimitedResource[], request: ChargedRequest, usage: Amounts): Set<string> {
  const out = new Set<string>();
  for (const limit of limits) {
    if ((limit.apiGroup ?? "") !== request.group || limit.resource !== request.resource) continue;
    for (const [name, { nano }] of usage) {
      if (nano > 0n && (limit.matchContains ?? []).some((part) => name.includes(part))) out.add(name);
    }
  }
  return out;
}

/** Decides one write against a namespace's quotas. Touches nothing. */
export function checkQuotas(
  quotas: readonly QuotaState[],
  request: ChargedRequest,
  evaluator: QuotaEvaluator,
  limits: readonly LimitedResource[],
  now: Instant,
): Verdict {
  const { object, oldObject, operation } = request;
  const unchanged: Verdict = { type: "charged", quotas };
  const inScope = (scopes: readonly ScopedResourceSelectorRequirement[]): ScopedResourceSelectorRequirement[] =>
    scopes.filter((scope) => evaluator.isInScope?.(scope, object) ?? false);

  const limitedScopes = limits.flatMap((limit) => inScope(limit.matchScopes ?? []));
  const coveredNames = new Set<string>();
  const coveredScopes = new Set<string>();
  const concerned: QuotaState[] = [];
  for (const state of quotas) {
    const { quota } = state;
    for (const { scopeName } of inScope(scopesOf(quota))) coveredScopes.add(scopeName);
    const names = evaluator.matchingNames(state.hard.keys());
    if (names.length === 0 || !isInScopes(quota, evaluator, object)) continue;
    const missing = evaluator.missing?.(names, object);
    if (missing !== undefined) return refused(`failed quota: ${quota.metadata.name}: ${missing}`);
    if (names.some((name) => !state.used.has(name))) {
      return refused(`status unknown for quota: ${quota.metadata.name}, resources: ${sorted(names)}`);
    }
    concerned.push(state);
    for (const name of names) coveredNames.add(name);
  }

  const usage = evaluator.usage(object, now);
  const negative = [...usage].filter(([, { nano }]) => nano < 0n).map(([name]) => name);
  if (negative.length > 0) return refused(`quota usage is negative for resource(s): ${sorted(negative)}`);
  const isKnownUpdate = operation === "UPDATE" && oldObject?.["metadata"] !== undefined;
  const grown = isKnownUpdate ? growth(usage, evaluator.usage(oldObject, now)) : usage;
  const deltas = new Map<QuotaState, Amounts>();
  for (const state of concerned) {
    // An object that moves into a quota's scope is wholly new to it.
    const wasCharged = isKnownUpdate && isInScopes(state.quota, evaluator, oldObject);
    const delta = withoutZeros(wasCharged ? grown : usage);
    if (delta.size > 0) deltas.set(state, delta);
  }
  const isNothing = concerned.length > 0 ? deltas.size === 0 : withoutZeros(grown).size === 0;
  if (isNothing) return unchanged;

  const uncovered = [...limitedNames(limits, request, usage)].filter((name) => !coveredNames.has(name));
  if (uncovered.length > 0) return refused(`insufficient quota to consume: ${sorted(uncovered)}`);
  const bare = limitedScopes.filter(({ scopeName }) => !coveredScopes.has(scopeName));
  if (bare.length > 0) {
    return {
      type: "refused",
      why: `insufficient quota to match these scopes: ${printScopes(bare)}`,
      isPlain: true,
    };
  }
  const after: QuotaState[] = [];
  for (const state of quotas) {
    const delta = deltas.get(state);
    if (delta === undefined) {
      after.push(state);
      continue;
    }
    const requested = maskAmounts(delta, state.hard.keys());
    const used = addAmounts(state.used, requested);
    // A status tells what has happened already: it is charged, whatever the bound.
    const over = request.subresource === "status" ? [] : exceeding(maskAmounts(used, requested.keys()), state.hard);
    if (over.length > 0) {
      const print = (amounts: Amounts): string => printAmounts(maskAmounts(amounts, over));
      return refused(
        `exceeded quota: ${state.quota.metadata.name}, requested: ${print(requested)}, used: ${print(state.used)}, limited: ${print(state.hard)}`,
      );
    }
    after.push({ ...state, used });
  }
  return { type: "charged", quotas: after };
}
