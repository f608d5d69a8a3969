import type { RulePort } from "@coracle/apimachinery/structural";

/** The evaluator of `x-kubernetes-validations`; undefined where there is none. */
export function loadRules(): Promise<RulePort | undefined> {
  return Promise.resolve(undefined);
}
