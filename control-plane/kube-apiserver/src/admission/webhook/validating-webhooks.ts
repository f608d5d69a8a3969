import { timeout, type Draft, type StatusError } from "@coracle/apimachinery";
import type { AdmissionAttributes, ServedVersion } from "../../registry/registry.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { denial } from "./admission-response.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";
import { isExempt, selectWebhook, viewAs } from "./selection.ts";
import { passOn, settle, type WebhookPort } from "./webhook-port.ts";

const FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/";

interface Invocation {
  readonly hook: CompiledWebhook;
  readonly as: ServedVersion;
  readonly object: Draft | undefined;
  readonly oldObject: Draft | undefined;
}

/** All at once; the first that refuses decides what the client is told. */
export function validatingWebhooks(port: WebhookPort, webhooks: () => readonly CompiledWebhook[]): AdmissionPlugin {
  async function callOne(
    { hook, ...subject }: Invocation,
    attributes: AdmissionAttributes,
    index: number,
  ): Promise<StatusError | undefined> {
    const startedAt = port.clock.monotonicMs();
    let outcome: { readonly error?: unknown; readonly isDenial?: boolean };
    try {
      const verdict = await port.ask(hook, { attributes, ...subject }, false);
      passOn(hook, attributes, verdict);
      outcome = verdict.isAllowed ? {} : { error: denial(hook.name, verdict.result), isDenial: true };
    } catch (error) {
      outcome = { error };
    }
    const { refusal, isFailOpen } = settle(port, hook, attributes, "validating", { ...outcome, startedAt });
    if (isFailOpen === true) attributes.context.annotate?.(`${FAILED_OPEN}round_0_index_${index}`, hook.name);
    return refusal;
  }

  async function dispatch(attributes: AdmissionAttributes, hooks: readonly CompiledWebhook[]): Promise<void> {
    const invocations: Invocation[] = [];
    for (const hook of hooks) {
      const as = await selectWebhook(hook, attributes, port);
      if (as === undefined) continue;
      const object = await viewAs(port.versions, attributes, attributes.object, as);
      const oldObject = await viewAs(port.versions, attributes, attributes.oldObject as Draft | undefined, as);
      invocations.push({ hook, as, object, oldObject });
    }
    if (invocations.length === 0) return;
    if (attributes.context.signal.aborted) throw timeout("request did not complete within requested timeout");
    let first: StatusError | undefined;
    await Promise.all(
      invocations.map(async (invocation, index) => {
        const refusal = await callOne(invocation, attributes, index);
        first ??= refusal;
      }),
    );
    if (first !== undefined) throw first;
  }

  return {
    name: "ValidatingAdmissionWebhook",
    scope: { operations: ["CREATE", "UPDATE", "DELETE", "CONNECT"] },
    validate(attributes) {
      const hooks = webhooks();
      if (hooks.length === 0 || isExempt(attributes)) return undefined;
      return dispatch(attributes, hooks);
    },
  };
}
