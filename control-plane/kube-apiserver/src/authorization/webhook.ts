import { isObject, type Draft, type JsonObject, type Requirement } from "@coracle/apimachinery";
import type { Clock, Logger } from "@coracle/base";
import type { AccessMetrics } from "../authentication/access-metrics.ts";
import type { KubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import { OutboundError } from "../outbound/outbound-error.ts";
import {
  fieldTermsOf,
  labelTermsOf,
  NO_OPINION,
  type AuthorizationAttributes,
  type Authorizer,
  type Decision,
} from "./authorizer.ts";

/** Whether a review is one for the webhook. Throws when the conditions cannot be evaluated. */
export type ReviewMatcher = (spec: JsonObject) => boolean;

export interface WebhookAuthorizerOptions {
  readonly name: string;
  readonly webhook: KubeconfigWebhook;
  /** v1 or v1beta1, of the reviews sent. */
  readonly version: string;
  /** 0: not kept. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly verdictOnError: "noOpinion" | "deny";
  readonly matches?: ReviewMatcher | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AccessMetrics;
}

const MAX_KEPT = 8192;
/** What the asking side chooses beyond this length is not worth keeping. */
const MAX_KEPT_LENGTH = 10_000;

const LABEL_OPERATORS: Partial<Record<Requirement["operator"], string>> = {
  "=": "In",
  "==": "In",
  in: "In",
  "!=": "NotIn",
  notin: "NotIn",
  exists: "Exists",
  "!": "DoesNotExist",
};

const withoutEmpty = (fields: Record<string, JsonObject[string] | undefined>): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "" && value !== undefined)) as JsonObject;

function selectorsOf(attributes: AuthorizationAttributes): JsonObject {
  const fields = fieldTermsOf(attributes).requirements.map(({ field, operator, value }) => ({
    key: field,
    operator: operator === "=" ? "In" : "NotIn",
    values: [value],
  }));
  const labels = labelTermsOf(attributes).requirements.flatMap(({ key, operator, values }) => {
    const known = LABEL_OPERATORS[operator];
    return known === undefined ? [] : [{ key, operator: known, ...(values.length === 0 ? {} : { values }) }];
  });
  return {
    ...(fields.length === 0 ? {} : { fieldSelector: { requirements: fields } }),
    ...(labels.length === 0 ? {} : { labelSelector: { requirements: labels } }),
  };
}

/** The `spec` of the SubjectAccessReview (v1) that asks the same question. */
export function reviewSpecOf(attributes: AuthorizationAttributes): JsonObject {
  const { user, verb } = attributes;
  const about: JsonObject = attributes.isResource
    ? {
        resourceAttributes: {
          ...withoutEmpty({
            namespace: attributes.namespace,
            verb,
            group: attributes.group,
            version: attributes.version,
            resource: attributes.resource,
            subresource: attributes.subresource,
            name: attributes.name,
          }),
          ...selectorsOf(attributes),
        },
      }
    : { nonResourceAttributes: withoutEmpty({ path: attributes.path, verb }) };
  return {
    ...about,
    ...withoutEmpty({ user: user.name }),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(user.extra === undefined ? {} : { extra: user.extra as JsonObject }),
    ...withoutEmpty({ uid: user.uid }),
  };
}

function reviewOf(spec: JsonObject, version: string): JsonObject {
  const { groups, ...rest } = spec;
  const isOld = version === "v1beta1";
  return {
    kind: "SubjectAccessReview",
    apiVersion: `authorization.k8s.io/${version}`,
    metadata: {},
    spec: groups === undefined ? rest : { ...rest, [isOld ? "group" : "groups"]: groups },
    status: { allowed: false },
  };
}

/** A service elsewhere decides; its answers are kept for a while. */
export function createWebhookAuthorizer(options: WebhookAuthorizerOptions): Authorizer {
  const { name, clock, metrics } = options;
  const kept = new Map<string, { readonly status: Draft; readonly until: number }>();
  const verdictOf = (status: Draft): Decision => {
    const reason = typeof status["reason"] === "string" ? status["reason"] : "";
    const [isAllowed, isDenied] = [status["allowed"] === true, status["denied"] === true];
    if (isDenied && isAllowed) {
      const error = "webhook subject access review returned both allow and deny response";
      return { verdict: "deny", reason, error };
    }
    if (isDenied) return { verdict: "deny", reason };
    return isAllowed ? { verdict: "allow", reason } : { verdict: "noOpinion", reason };
  };
  const failed = (error: string): Decision =>
    options.verdictOnError === "deny" ? { verdict: "deny", reason: "", error } : { verdict: "noOpinion", error };

  async function ask(spec: JsonObject): Promise<Draft> {
    const startedAt = clock.monotonicMs();
    let result = "success";
    try {
      const answer = await options.webhook.post(reviewOf(spec, options.version));
      const status = isObject(answer) ? answer["status"] : undefined;
      return isObject(status) ? status : {};
    } catch (error) {
      result = error instanceof OutboundError && error.failure === "deadline" ? "timeout" : "error";
      if (options.verdictOnError === "noOpinion") {
        metrics.count("apiserver_authorization_webhook_evaluations_fail_open_total", { name, result });
      }
      throw error;
    } finally {
      const seconds = (clock.monotonicMs() - startedAt) / 1000;
      metrics.count("apiserver_authorization_webhook_evaluations_total", { name, result });
      metrics.observe("apiserver_authorization_webhook_duration_seconds", { name, result }, seconds);
    }
  }

  function isMatched(spec: JsonObject): boolean {
    const labels = { type: "Webhook", name };
    try {
      const isMatch = options.matches === undefined || options.matches(spec);
      if (!isMatch) metrics.count("apiserver_authorization_match_condition_exclusions_total", labels);
      return isMatch;
    } catch (error) {
      metrics.count("apiserver_authorization_match_condition_evaluation_errors_total", labels);
      throw error;
    }
  }

  async function askAndKeep(spec: JsonObject, key: string, isWorthKeeping: boolean): Promise<Decision> {
    try {
      const status = await ask(spec);
      const ttlMs = status["allowed"] === true ? options.authorizedTtlMs : options.unauthorizedTtlMs;
      if (isWorthKeeping && ttlMs > 0) {
        if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
        kept.set(key, { status, until: clock.now() + ttlMs });
      }
      return verdictOf(status);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      options.logger.error("the authorisation webhook failed", { webhook: name, error: why });
      return failed(why);
    }
  }

  return {
    authorize(attributes) {
      const spec = reviewSpecOf(attributes);
      try {
        if (!isMatched(spec)) return NO_OPINION;
      } catch (error) {
        return failed((error as Error).message);
      }
      const key = JSON.stringify(spec);
      const before = kept.get(key);
      if (before !== undefined && clock.now() < before.until) return verdictOf(before.status);
      kept.delete(key);
      const { namespace, verb, group, version, resource, subresource, path } = attributes;
      const length = [namespace, verb, group, version, resource, subresource, attributes.name, path].join("").length;
      return askAndKeep(spec, key, length < MAX_KEPT_LENGTH);
    },
    rulesFor: () => ({
      rules: [],
      isIncomplete: true,
      errors: ["webhook authorizer does not support user rule resolution"],
    }),
  };
}
