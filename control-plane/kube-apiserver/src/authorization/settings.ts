import type { WebhookSettings } from "../authentication/settings.ts";

/** Kinds of authorisers. */
export type AuthorizationMode = "Node" | "RBAC" | "ABAC" | "Webhook" | "AlwaysAllow" | "AlwaysDeny";

/** What the modes need, and what stands in their place. */
export interface AuthorizationSettings {
  /** For ABAC. */
  readonly policyFile?: string | undefined;
  /** For Webhook. */
  readonly webhook?:
    | (WebhookSettings & { readonly authorizedTtlMs: number; readonly unauthorizedTtlMs: number })
    | undefined;
  /** AuthorizationConfiguration, in place of modes; followed. */
  readonly configFile?: string | undefined;
}
