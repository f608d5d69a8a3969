import type { ResourceQuotaConfiguration } from "./resource-quota/resource-quota.ts";

/** What plugins can be told, each under its name. Absent: upstream's defaults. */
export interface PluginConfigurations {
  readonly ResourceQuota?: ResourceQuotaConfiguration | undefined;
}
