import type { WebhookPluginConfiguration } from "./webhook/webhook-plugins.ts";
import type { DefaultTolerationSecondsConfiguration } from "./default-toleration-seconds.ts";
import type { EventRateLimitConfiguration } from "./event-rate-limit.ts";
import type { PodNodeSelectorConfiguration } from "./pod-node-selector.ts";
import type { ImagePolicyConfiguration } from "./image-policy-webhook.ts";
import type { PodSecurityConfiguration } from "./pod-security/pod-security.ts";
import type { PodTolerationRestrictionConfiguration } from "./pod-toleration-restriction.ts";
import type { ResourceQuotaConfiguration } from "./resource-quota/resource-quota.ts";

/** What plugins can be told, each under its name. Absent: upstream's defaults. */
export interface PluginConfigurations {
  readonly ValidatingAdmissionWebhook?: WebhookPluginConfiguration | undefined;
  readonly MutatingAdmissionWebhook?: WebhookPluginConfiguration | undefined;
  readonly ImagePolicyWebhook?: ImagePolicyConfiguration | undefined;
  readonly DefaultTolerationSeconds?: DefaultTolerationSecondsConfiguration | undefined;
  readonly EventRateLimit?: EventRateLimitConfiguration | undefined;
  readonly PodNodeSelector?: PodNodeSelectorConfiguration | undefined;
  readonly PodSecurity?: PodSecurityConfiguration | undefined;
  readonly PodTolerationRestriction?: PodTolerationRestrictionConfiguration | undefined;
  readonly ResourceQuota?: ResourceQuotaConfiguration | undefined;
}
