import type { IdentityResolver } from "../../outbound/client-identity.ts";
import type { AdmissionDeps } from "../order.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { followWebhooks, type CompiledWebhook, type WebhookSource } from "./compiled-webhook.ts";
import { createKindVersions } from "./kind-versions.ts";
import { evaluateConditions } from "./match-conditions.ts";
import { mutatingWebhooks } from "./mutating-webhooks.ts";
import { validatingWebhooks } from "./validating-webhooks.ts";
import { createAskWebhook } from "./webhook-call.ts";
import { WebhookMetrics } from "./webhook-metrics.ts";
import type { WebhookPort } from "./webhook-port.ts";

/** What `--admission-control-config-file` says to a webhook plugin: who this server is to whom. */
export interface WebhookPluginConfiguration {
  readonly identityFor: IdentityResolver;
}

const NONE: readonly CompiledWebhook[] = [];
/** Both plugins of a server count together. */
const metricsOf = new WeakMap<AdmissionDeps["addMetrics"], WebhookMetrics>();

function sharedMetrics({ addMetrics }: AdmissionDeps): WebhookMetrics {
  const known = metricsOf.get(addMetrics);
  if (known !== undefined) return known;
  const metrics = new WebhookMetrics();
  metricsOf.set(addMetrics, metrics);
  addMetrics(() => metrics.render());
  return metrics;
}

function open(
  deps: AdmissionDeps,
  plural: string,
  configuration: WebhookPluginConfiguration | undefined,
): { readonly port: WebhookPort; readonly webhooks: () => readonly CompiledWebhook[] } {
  const { objects, clock, outbound } = deps;
  const metrics = sharedMetrics(deps);
  const versions = createKindVersions();
  const port: WebhookPort = {
    objects,
    clock,
    logger: deps.logger,
    metrics,
    versions,
    conditions: evaluateConditions({ authorizer: deps.authorizer, versions, metrics, plural }),
    ask: createAskWebhook(outbound.client, { ...outbound.targets, identityFor: configuration?.identityFor }),
  };
  let source: WebhookSource | undefined;
  deps.whenOpen((registry) => (source = followWebhooks(registry, plural)));
  return { port, webhooks: () => source?.webhooks ?? NONE };
}

/** The plugin MutatingAdmissionWebhook. */
export function mutatingAdmissionWebhook(
  deps: AdmissionDeps,
  configuration: WebhookPluginConfiguration | undefined,
): AdmissionPlugin {
  const { port, webhooks } = open(deps, "mutatingwebhookconfigurations", configuration);
  return mutatingWebhooks(port, webhooks);
}

/** The plugin ValidatingAdmissionWebhook. */
export function validatingAdmissionWebhook(
  deps: AdmissionDeps,
  configuration: WebhookPluginConfiguration | undefined,
): AdmissionPlugin {
  const { port, webhooks } = open(deps, "validatingwebhookconfigurations", configuration);
  return validatingWebhooks(port, webhooks);
}
