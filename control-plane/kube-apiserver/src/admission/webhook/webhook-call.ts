import { randomUUID } from "node:crypto";
import { badRequest, internalError, isStatusError, serviceUnavailable, type StatusError } from "@coracle/apimachinery";
import { OutboundError } from "../../outbound/outbound-error.ts";
import type { OutboundClient } from "../../outbound/outbound-client.ts";
import { postObject } from "../../outbound/rest-call.ts";
import { targetOf, type OutboundTarget, type TargetDeps } from "../../outbound/target.ts";
import { admissionReview, type ReviewSubject } from "./admission-request.ts";
import { dryRunUnsupported, readReview, verifyResponse, type AdmissionVerdict } from "./admission-response.ts";
import type { CompiledWebhook } from "./compiled-webhook.ts";

/** The webhook could not be asked, or what it said is no answer: what happens then is its failure policy's business. */
export class WebhookFailure extends Error {
  /** What metrics count it as. */
  readonly status: StatusError;
  readonly isCanceled: boolean;

  constructor(webhook: string, why: string, status: StatusError, cause?: unknown) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${why}`, { cause });
    this.status = status;
    this.isCanceled = cause instanceof OutboundError && cause.failure === "canceled";
  }
}

/** Asks one webhook about one request. */
export type AskWebhook = (
  hook: CompiledWebhook,
  subject: ReviewSubject,
  isMutating: boolean,
) => Promise<AdmissionVerdict>;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Throws a WebhookFailure, or a StatusError for what is refused without asking. */
export function createAskWebhook(client: OutboundClient, targets: TargetDeps): AskWebhook {
  const known = new WeakMap<CompiledWebhook, OutboundTarget>();

  function findTarget(hook: CompiledWebhook): OutboundTarget {
    let target = known.get(hook);
    if (target === undefined) {
      target = targetOf(hook.clientConfig as Parameters<typeof targetOf>[0], targets);
      known.set(hook, target);
    }
    return target;
  }

  return async (hook, subject, isMutating) => {
    const { attributes } = subject;
    if (attributes.isDryRun && !hook.hasNoSideEffects) throw dryRunUnsupported(hook.name);
    const fail = (why: string, status: StatusError, cause?: unknown): WebhookFailure =>
      new WebhookFailure(hook.name, why, status, cause);
    const version = hook.reviewVersion;
    if (version === undefined) {
      const why =
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
      throw fail(why, badRequest("error creating admission objects"));
    }
    let target: OutboundTarget;
    try {
      target = findTarget(hook);
    } catch (error) {
      throw fail(`could not get REST client: ${messageOf(error)}`, internalError(messageOf(error)), error);
    }
    const uid = randomUUID();
    let review: Record<string, unknown>;
    try {
      const answer = await postObject(client, target, {
        body: admissionReview(version, uid, subject),
        timeoutMs: hook.timeoutMs,
        signal: attributes.context.signal,
      });
      review = readReview(answer, version);
    } catch (error) {
      const status = isStatusError(error) ? error : serviceUnavailable("error calling webhook");
      throw fail(`failed to call webhook: ${messageOf(error)}`, status, error);
    }
    try {
      return verifyResponse(review, uid, version, isMutating);
    } catch (error) {
      const status = serviceUnavailable("error validating webhook response");
      throw fail(`received invalid webhook response: ${messageOf(error)}`, status, error);
    }
  };
}
