import type { PodSecurityConfiguration } from "./pod-security/pod-security.ts";
import type { ResourceQuotaConfiguration } from "./resource-quota/resource-quota.ts";

/** What plugins can be told, each under its name. Absent: upstream's defaults. */
export interface PluginConfigurations {
  readonly PodSecurity?: PodSecurityConfiguration | undefined;
  readonly ResourceQuota?: ResourceQuotaConfiguration | undefined;
}
