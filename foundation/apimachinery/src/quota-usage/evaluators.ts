import type { ResourceQuota } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import type { JsonObject } from "../json/json.ts";
import { zeroQuantity, type Quantity } from "../quantity/quantity.ts";
import { addInto, ONE } from "./amounts.ts";
import { deviceClaimEvaluator, serviceEvaluator, volumeClaimEvaluator } from "./core-evaluators.ts";
import { isInScopes, type QuotaEvaluator } from "./evaluator.ts";
import { podEvaluator } from "./pod-evaluator.ts";

/** Names that count objects from before every kind could be counted. */
const ALIASES: ReadonlySet<string> = new Set(["configmaps", "resourcequotas", "replicationcontrollers", "secrets"]);
const SPECIAL: readonly QuotaEvaluator[] = [podEvaluator, serviceEvaluator, volumeClaimEvaluator, deviceClaimEvaluator];
/** Nothing of these is stored, or it is not worth counting. */
const UNCOUNTED: ReadonlySet<string> = new Set([
  "/bindings",
  "/componentstatuses",
  "/events",
  "events.k8s.io/events",
  "authentication.k8s.io/tokenreviews",
  "authentication.k8s.io/selfsubjectreviews",
  "authorization.k8s.io/subjectaccessreviews",
  "authorization.k8s.io/selfsubjectaccessreviews",
  "authorization.k8s.io/localsubjectaccessreviews",
  "authorization.k8s.io/selfsubjectrulesreviews",
]);

const known = new Map<string, QuotaEvaluator | undefined>(SPECIAL.map((one) => [`${one.group}/${one.resource}`, one]));

/** `count/deployments.apps`. */
export const countName = (group: string, resource: string): string =>
  `count/${resource}${group === "" ? "" : `.${group}`}`;

function countEvaluator(group: string, resource: string): QuotaEvaluator {
  const own = [countName(group, resource), ...(group === "" && ALIASES.has(resource) ? [resource] : [])];
  const usage: ReadonlyMap<string, Quantity> = new Map(own.map((name) => [name, ONE]));
  return {
    group,
    resource,
    handles: ({ operation, subresource }) => subresource === "" && operation === "CREATE",
    matchingNames: (names) => [...names].filter((name) => own.includes(name)),
    usage: () => usage,
  };
}

/** What a kind's objects use; every kind's, also of custom resources, can at least be counted. Undefined: never counted. */
export function quotaEvaluatorOf(group: string, resource: string): QuotaEvaluator | undefined {
  const key = `${group}/${resource}`;
  if (UNCOUNTED.has(key)) return undefined;
  let found = known.get(key);
  if (found === undefined) known.set(key, (found = countEvaluator(group, resource)));
  return found;
}

/** The kinds whose objects the names of a quota count. */
export function countedKinds(
  names: Iterable<string>,
): readonly { readonly group: string; readonly resource: string }[] {
  const wanted = [...names];
  const out = new Map<string, { readonly group: string; readonly resource: string }>();
  const add = (group: string, resource: string): void => {
    if (!UNCOUNTED.has(`${group}/${resource}`)) out.set(`${group}/${resource}`, { group, resource });
  };
  for (const one of SPECIAL) if (one.matchingNames(wanted).length > 0) add(one.group, one.resource);
  for (const name of wanted) {
    if (ALIASES.has(name)) add("", name);
    if (!name.startsWith("count/")) continue;
    const [resource = "", ...group] = name.slice("count/".length).split(".");
    add(group.join("."), resource);
  }
  return [...out.values()];
}

/** What all objects of one kind in a quota's namespace use of it. */
export function usageOf(
  quota: ResourceQuota,
  evaluator: QuotaEvaluator,
  objects: Iterable<JsonObject>,
  now: Instant,
): Map<string, Quantity> {
  const names = evaluator.matchingNames(Object.keys(quota.spec?.hard ?? {}));
  const total = new Map<string, Quantity>(names.map((name) => [name, zeroQuantity]));
  for (const object of objects) {
    if (!isInScopes(quota, evaluator, object)) continue;
    const used = evaluator.usage(object, now);
    for (const name of names) {
      const quantity = used.get(name);
      if (quantity !== undefined) addInto(total, new Map([[name, quantity]]));
    }
  }
  return total;
}
