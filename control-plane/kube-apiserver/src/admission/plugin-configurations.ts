import type { ImagePolicyConfiguration } from "./image-policy-webhook.ts";
import type { PodSecurityConfiguration } from "./pod-security/pod-security.ts";
import type { WebhookPluginConfiguration } from "./webhook/webhook-plugins.ts";
import type { ResourceQuotaConfiguration } from "./resource-quota/resource-quota.ts";

/** What plugins can be told, each under its name. Absent: upstream's defaults. */
export interface PluginConfigurations {
  readonly ImagePolicyWebhook?: ImagePolicyConfiguration | undefined;
  readonly MutatingAdmissionWebhook?: WebhookPluginConfiguration | undefined;
  readonly ValidatingAdmissionWebhook?: WebhookPluginConfiguration | undefined;
  readonly PodSecurity?: PodSecurityConfiguration | undefined;
  readonly ResourceQuota?: ResourceQuotaConfiguration | undefined;
}
