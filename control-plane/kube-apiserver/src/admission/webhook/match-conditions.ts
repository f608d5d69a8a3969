import type { Clock } from "@coracle/base";
import type { Authorizer } from "../../authorization/authorizer.ts";
import type { RegistryReader } from "../../registry/registry-reader.ts";
import type { MatchConditions } from "./selection.ts";
import type { WebhookMetrics, WebhookType } from "./webhook-metrics.ts";

/** What conditions may ask for, and where their outcome is counted. */
export interface ConditionDeps {
  readonly objects: RegistryReader;
  readonly authorizer: Authorizer;
  readonly metrics: WebhookMetrics;
  readonly clock: Clock;
  /** The kind of configuration. */
  readonly plural: string;
}

/** Evaluates the conditions of webhooks. A failed one counts as the webhook's failure policy says. */
export function evaluateConditions({ metrics, plural }: ConditionDeps): MatchConditions {
  const type: WebhookType = plural.startsWith("mutating") ? "admit" : "validating";
  return (hook, { operation }) => {
    metrics.observeConditionError(hook.name, type, operation);
    const error = new Error("match conditions are not evaluated by this server yet");
    return Promise.resolve(hook.ignoresFailures ? { holds: false } : { holds: false, error });
  };
}
