import { createHash } from "node:crypto";
import { isObject, type JsonObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { KubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import type { TokenAuthenticator, TokenVerdict } from "./authenticator.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

const MAX_KEPT = 4096;
/** How long the server's own cache keeps a verdict before this one is asked again. */
const VERDICT_TTL_MS = 10_000;

export interface WebhookTokenOptions {
  readonly webhook: KubeconfigWebhook;
  /** v1 or v1beta1. */
  readonly version: string;
  readonly apiAudiences: readonly string[];
  /** 0: nothing is kept. */
  readonly cacheTtlMs: number;
  readonly clock: Clock;
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];

function userIn(value: unknown): UserInfo {
  const given = isObject(value) ? value : {};
  const extra = isObject(given["extra"])
    ? Object.fromEntries(Object.entries(given["extra"]).map(([key, list]) => [key, texts(list)]))
    : {};
  return withAuthenticatedGroup({
    name: typeof given["username"] === "string" ? given["username"] : "",
    groups: texts(given["groups"]),
    ...(typeof given["uid"] === "string" && given["uid"] !== "" ? { uid: given["uid"] } : {}),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  });
}

/** What a service said of a token: whose it is, that it is nobody's, or why it does not hold. */
type Answer =
  | { readonly user: UserInfo; readonly audiences: readonly string[] }
  | { readonly error: string }
  | undefined;

/** A service elsewhere knows whose a token is; its answers, good and bad, are kept for a while. */
export function createWebhookTokenAuthenticator(options: WebhookTokenOptions): TokenAuthenticator {
  const { clock, version, apiAudiences } = options;
  const kept = new Map<string, { readonly answer: Answer; readonly until: number }>();

  async function ask(token: string, wanted: readonly string[] | undefined): Promise<Answer> {
    const spec: JsonObject = { token, ...(wanted === undefined || wanted.length === 0 ? {} : { audiences: wanted }) };
    const answer = await options.webhook.post({
      kind: "TokenReview",
      apiVersion: `authentication.k8s.io/${version}`,
      metadata: {},
      spec,
      status: { user: {} },
    });
    const status = isObject(answer) && isObject(answer["status"]) ? answer["status"] : {};
    const named = texts(status["audiences"]);
    const audiences = (wanted ?? []).filter((audience) => (named.length > 0 ? named : apiAudiences).includes(audience));
    if (wanted !== undefined && audiences.length === 0) return undefined;
    if (status["authenticated"] !== true) {
      const { error } = status;
      return typeof error === "string" && error !== "" ? { error } : undefined;
    }
    return { user: userIn(status["user"]), audiences };
  }

  function verdictOf(answer: Answer): TokenVerdict | undefined {
    if (answer === undefined) return undefined;
    if ("error" in answer) throw new Error(answer.error);
    return { ...answer, keepUntil: clock.now() + VERDICT_TTL_MS };
  }

  return {
    async authenticateToken(token, wanted) {
      const key = createHash("sha256")
        .update(JSON.stringify([token, wanted]))
        .digest("base64");
      const before = kept.get(key);
      if (before !== undefined && clock.now() < before.until) return verdictOf(before.answer);
      kept.delete(key);
      const answer = await ask(token, wanted);
      if (options.cacheTtlMs > 0) {
        if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
        kept.set(key, { answer, until: clock.now() + options.cacheTtlMs });
      }
      return verdictOf(answer);
    },
  };
}
