import { internalError, isStatusError, type StatusError } from "@coracle/apimachinery";
import type { Clock, Logger } from "@coracle/base";
import type { AdmissionAttributes } from "../../registry/registry.ts";
import type { AdmissionVerdict } from "./admission-response.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";
import type { SelectionDeps } from "./selection.ts";
import { WebhookFailure, type AskWebhook } from "./webhook-call.ts";
import type { WebhookMetrics, WebhookType } from "./webhook-metrics.ts";

/** What both kinds of webhook plugins work with. */
export interface WebhookPort extends SelectionDeps {
  readonly ask: AskWebhook;
  readonly metrics: WebhookMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Passes on what a webhook says beside its verdict. */
export function passOn(hook: CompiledWebhook, { context }: AdmissionAttributes, verdict: AdmissionVerdict): void {
  for (const [key, value] of verdict.auditAnnotations) context.annotate?.(`${hook.name}/${key}`, value);
  for (const text of verdict.warnings) if (!context.warnings.includes(text)) context.warnings.push(text);
}

/**
 * Counts an outcome, and decides what it means for the request: nothing (also a failure that the webhook's policy
 * ignores), or the StatusError that is returned.
 */
export function settle(
  port: WebhookPort,
  hook: CompiledWebhook,
  attributes: AdmissionAttributes,
  type: WebhookType,
  outcome: { readonly error?: unknown; readonly isDenial?: boolean; readonly startedAt: number },
): { readonly refusal?: StatusError; readonly isFailOpen?: boolean } {
  const { error, startedAt } = outcome;
  const { name } = hook;
  const { operation } = attributes;
  const seconds = (port.clock.monotonicMs() - startedAt) / 1000;
  const observe = (isRejected: boolean, code: number): void =>
    port.metrics.observe({ name, type, operation, isRejected, code, seconds });
  if (error === undefined) {
    observe(false, 200);
    return {};
  }
  if (error instanceof WebhookFailure) {
    const { code } = error.status;
    observe(!hook.ignoresFailures, code);
    if (hook.ignoresFailures) {
      if (!error.isCanceled) port.metrics.observeFailOpen(name, type);
      port.logger.warn("calling a webhook failed, and is ignored", { webhook: name, error: error.message });
      return { isFailOpen: !error.isCanceled };
    }
    if (!error.isCanceled) port.metrics.observeRejection(name, type, operation, "calling_webhook_error", code);
    port.logger.warn("calling a webhook failed", { webhook: name, error: error.message });
    return { refusal: internalError(error.message) };
  }
  const refusal = isStatusError(error) ? error : internalError(messageOf(error));
  const code = outcome.isDenial === true ? refusal.code : 0;
  observe(true, code);
  port.metrics.observeRejection(
    name,
    type,
    operation,
    outcome.isDenial ? "no_error" : "apiserver_internal_error",
    code,
  );
  return { refusal };
}
