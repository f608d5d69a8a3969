import { cloneJson, equalJson, internalError, serviceUnavailable, timeout } from "@coracle/apimachinery";
import type { Draft, StatusError } from "@coracle/apimachinery";
import type { AdmissionAttributes, Reinvocation } from "../../registry/registry.ts";
import type { AdmissionPlugin } from "../plugin.ts";
import { kindOf, withoutIdentity } from "./admission-request.ts";
import { denial } from "./admission-response.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";
import { applyPatch, decodePatch, readPatched, replaceDraft } from "./patched-object.ts";
import { isExempt, selectWebhook, viewAs } from "./selection.ts";
import { WebhookFailure } from "./webhook-call.ts";
import { passOn, settle, type WebhookPort } from "./webhook-port.ts";

const NAME = "MutatingAdmissionWebhook";
const FAILED_OPEN = "failed-open.mutation.webhook.admission.k8s.io/";
const MUTATION = "mutation.webhook.admission.k8s.io/";
const PATCH = "patch.webhook.admission.k8s.io/";

/** What is remembered between the two rounds of one request. */
interface Memory {
  /** Webhooks that were asked, and want to be asked again should the object change after them. */
  readonly asked: Set<string>;
  /** Those of them after which it changed. */
  readonly again: Set<string>;
  lastOutput: unknown;
}

function memoryOf(reinvocation: Reinvocation | undefined): Memory {
  const known = reinvocation?.memory?.get(NAME) as Memory | undefined;
  if (known !== undefined) return known;
  const memory: Memory = { asked: new Set(), again: new Set(), lastOutput: undefined };
  if (reinvocation !== undefined) (reinvocation.memory ??= new Map()).set(NAME, memory);
  return memory;
}

function askAgain(memory: Memory): void {
  for (const uid of memory.asked) memory.again.add(uid);
  memory.asked.clear();
}

/** One after the other, in the order of their configurations' names, each seeing what those before it made. */
export function mutatingWebhooks(port: WebhookPort, webhooks: () => readonly CompiledWebhook[]): AdmissionPlugin {
  /** True: the object is another one now. */
  async function callOne(
    hook: CompiledWebhook,
    attributes: AdmissionAttributes,
    as: NonNullable<Awaited<ReturnType<typeof selectWebhook>>>,
    place: string,
  ): Promise<boolean> {
    const { versions } = port;
    const isCreate = attributes.operation === "CREATE";
    const draft = attributes.object;
    const seen = await viewAs(versions, attributes, draft, as);
    const object = seen !== undefined && isCreate ? withoutIdentity(seen, attributes) : seen;
    const oldObject = await viewAs(versions, attributes, attributes.oldObject as Draft | undefined, as);
    const verdict = await port.ask(hook, { attributes, as, object, oldObject }, true);
    passOn(hook, attributes, verdict);
    if (!verdict.isAllowed) throw new Denied(denial(hook.name, verdict.result));
    if (verdict.patch === undefined) return false;
    let operations: readonly unknown[];
    try {
      operations = decodePatch(verdict.patch);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const status = serviceUnavailable("error decoding patch in webhook response");
      throw new WebhookFailure(hook.name, `received undecodable patch in webhook response: ${why}`, status, error);
    }
    if (operations.length === 0) return false;
    if (object === undefined || draft === undefined) {
      throw internalError(
        `admission webhook ${JSON.stringify(hook.name)} attempted to modify the object, which is not supported for this operation`,
      );
    }
    if (verdict.patchType !== "JSONPatch") {
      const status = denial(hook.name, verdict.result);
      throw new WebhookFailure(hook.name, `unsupported patch type ${JSON.stringify(verdict.patchType)}`, status);
    }
    const patched = applyPatch(object, operations);
    const own = kindOf(attributes);
    const isOther = as.kind.group !== own.group || as.kind.version !== own.version;
    const converted = isOther ? await versions.convert(attributes, patched, own) : patched;
    const fresh = readPatched(attributes, own, converted);
    if (attributes.isUnnamed === true) fresh.metadata.name ??= draft.metadata.name;
    const isChanged = !equalJson(
      isCreate ? withoutIdentity(draft, attributes) : draft,
      isCreate ? withoutIdentity(fresh, attributes) : fresh,
    );
    replaceDraft(draft, fresh, attributes.context.warnings);
    const { configuration, name: webhook } = hook;
    const note = JSON.stringify({ configuration, webhook, patch: operations, patchType: "JSONPatch" });
    attributes.context.annotate?.(`${PATCH}${place}`, note, "Request");
    return isChanged;
  }

  async function dispatch(attributes: AdmissionAttributes, hooks: readonly CompiledWebhook[]): Promise<void> {
    const { reinvocation, context } = attributes;
    const isSecond = reinvocation?.isSecond === true;
    const memory = memoryOf(reinvocation);
    if (isSecond && memory.lastOutput !== undefined && !equalJson(memory.lastOutput, attributes.object)) {
      askAgain(memory);
    }
    for (const [index, hook] of hooks.entries()) {
      const as = await selectWebhook(hook, attributes, port);
      if (as === undefined) continue;
      if (isSecond && !memory.again.has(hook.uid)) continue;
      const place = `round_${isSecond ? 1 : 0}_index_${index}`;
      const startedAt = port.clock.monotonicMs();
      let mutated = false;
      let error: unknown;
      try {
        mutated = await callOne(hook, attributes, as, place);
      } catch (failure) {
        error = failure;
      }
      const { configuration, name: webhook } = hook;
      context.annotate?.(`${MUTATION}${place}`, JSON.stringify({ configuration, webhook, mutated }));
      const isDenial = error instanceof Denied;
      const outcome = { error: isDenial ? (error as Denied).status : error, isDenial, startedAt };
      const { refusal, isFailOpen } = settle(port, hook, attributes, "admit", outcome);
      if (mutated) {
        askAgain(memory);
        if (reinvocation !== undefined) reinvocation.isWanted = true;
      }
      if (hook.reinvokes) memory.asked.add(hook.uid);
      if (refusal !== undefined) throw refusal;
      if (isFailOpen === true) context.annotate?.(`${FAILED_OPEN}${place}`, hook.name);
      if (context.signal.aborted) throw timeout("request did not complete within requested timeout");
    }
    if (memory.asked.size > 0 || memory.again.size > 0) memory.lastOutput = cloneJson(attributes.object);
  }

  return {
    name: NAME,
    scope: { operations: ["CREATE", "UPDATE", "DELETE", "CONNECT"] },
    admit(attributes) {
      const hooks = webhooks();
      if (hooks.length === 0 || isExempt(attributes)) return undefined;
      return dispatch(attributes, hooks);
    },
  };
}

/** The webhook said no. */
class Denied extends Error {
  readonly status: StatusError;

  constructor(status: StatusError) {
    super(status.message);
    this.status = status;
  }
}
