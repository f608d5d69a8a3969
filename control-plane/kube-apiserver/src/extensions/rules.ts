import type { RulePort } from "@coracle/apimachinery/structural";

/** The evaluator of `x-kubernetes-validations`: fetched when the first definition has some. */
export async function loadRules(): Promise<RulePort> {
  const { createRuleRunner } = await import("../resources/apiextensions/rules/run-rules.ts");
  return createRuleRunner();
}
