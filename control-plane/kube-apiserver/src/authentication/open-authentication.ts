import { readFileSync } from "node:fs";
import { Cleanup, type Clock, type Logger, type Random } from "@coracle/base";
import { watchFile } from "../files/watched-file.ts";
import { loadKubeconfigWebhook } from "../outbound/kubeconfig-webhook.ts";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { ApiServerConfig } from "../server/api-server.ts";
import type { Exchange } from "../server/exchange.ts";
import { compressedUsername, type AccessMetrics } from "./access-metrics.ts";
import { withAudiences, type Authenticator, type TokenAuthenticator } from "./authenticator.ts";
import { followAuthorities } from "./authority-files.ts";
import { createBasicAuthenticator, parseBasicAuthFile } from "./basic-password.ts";
import { createBearerTokenAuthenticator, tokenUnion } from "./bearer-token.ts";
import { createBootstrapTokenAuthenticator } from "./bootstrap-token.ts";
import { createCertificateAuthenticator } from "./client-certificate.ts";
import { parseSigningKey, parseVerificationKeys, type TokenKey } from "./json-web-token.ts";
import { openJwt } from "./openid-connect/open-jwt.ts";
import { createRequestHeaderAuthenticator } from "./request-header.ts";
import { createSecretTokenAuthenticator } from "./secret-token.ts";
import { createServiceAccountAuthenticator, createTokenIssuer, type TokenIssuer } from "./service-account-token.ts";
import { createStaticTokenAuthenticator, parseTokenFile } from "./static-token.ts";
import { anonymousRule, authenticateWith, type AnonymousRule } from "./union.ts";
import type { UserInfo } from "./user.ts";
import { createWebhookTokenAuthenticator } from "./webhook-token.ts";

const DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local";
const EXPIRATION_BUCKETS = [
  0, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 345600, 604800, 2592000, 7776000, 15552000, 31104000,
];

export interface AuthenticationDeps {
  readonly objects: RegistryReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly outbound: OutboundClient;
  /** Told when the authorities of client certificates or of the front proxy have changed. */
  readonly onAuthoritiesChange: () => void | Promise<void>;
}

/** How the server finds out who asks. */
export interface Authentication extends AsyncDisposable {
  authenticate(exchange: Exchange): UserInfo | Promise<UserInfo>;
  /** All kinds of bearer tokens, for TokenReview. */
  readonly tokens: TokenAuthenticator;
  readonly apiAudiences: readonly string[];
  readonly issuer: TokenIssuer;
  readonly issuerName: string;
  readonly keys: readonly TokenKey[];
  /** What a refusal names as the way to prove oneself; undefined when there is nothing to name. */
  readonly challenge: string | undefined;
  /** PEM of the authorities in force. */
  clientCa(): string | undefined;
  requestHeaderCa(): string | undefined;
}

const HIT = { status: "hit" };
const MISS = { status: "miss" };

function measured(
  authenticate: (exchange: Exchange) => UserInfo | Promise<UserInfo>,
  metrics: AccessMetrics,
  clock: Clock,
): (exchange: Exchange) => UserInfo | Promise<UserInfo> {
  const [success, failure] = [{ result: "success" }, { result: "failure" }];
  const usernames = new Map<string, { readonly username: string }>();
  const note = (startedAt: number, user: UserInfo | undefined): void => {
    const labels = user === undefined ? failure : success;
    metrics.count("authentication_attempts", labels);
    metrics.observe("authentication_duration_seconds", labels, (clock.monotonicMs() - startedAt) / 1000);
    if (user === undefined) return;
    const username = compressedUsername(user.name);
    let known = usernames.get(username);
    if (known === undefined) usernames.set(username, (known = { username }));
    metrics.count("authenticated_user_requests", known);
  };
  const failed = (startedAt: number, error: unknown): never => {
    note(startedAt, undefined);
    throw error;
  };
  return (exchange) => {
    const startedAt = clock.monotonicMs();
    let user: UserInfo | Promise<UserInfo>;
    try {
      user = authenticate(exchange);
    } catch (error) {
      return failed(startedAt, error);
    }
    if (!(user instanceof Promise)) {
      note(startedAt, user);
      return user;
    }
    return user.then(
      (found) => {
        note(startedAt, found);
        return found;
      },
      (error: unknown) => failed(startedAt, error),
    );
  };
}

/** Puts together all ways of proving who asks that the configuration names. Throws when one of them is misconfigured. */
export async function openAuthentication(
  config: ApiServerConfig,
  metrics: AccessMetrics,
  deps: AuthenticationDeps,
): Promise<Authentication> {
  const { objects, clock, logger } = deps;
  const settings = config.authentication ?? {};
  const { serviceAccounts } = config;
  const cleanup = new Cleanup();
  const follow = (pem: string | undefined, path: string | undefined) =>
    pem === undefined ? undefined : followAuthorities({ pem, path, logger, onChange: deps.onAuthoritiesChange });
  const clientCa = follow(config.clientCa, settings.clientCaFile);
  const requestHeaderCa = follow(config.requestHeader?.ca, settings.requestHeaderCaFile);
  for (const followed of [clientCa, requestHeaderCa])
    if (followed?.watched !== undefined) cleanup.use(followed.watched);

  const issuerName = serviceAccounts.issuers[0] ?? DEFAULT_ISSUER;
  const keys = (serviceAccounts.verificationKeys ?? [serviceAccounts.signingKey]).flatMap(parseVerificationKeys);
  const issuers = serviceAccounts.issuers.length === 0 ? [issuerName] : serviceAccounts.issuers;
  const apiAudiences = serviceAccounts.apiAudiences ?? issuers;

  const tokenAuthenticators: TokenAuthenticator[] = [];
  if (config.tokens !== undefined) {
    const users = parseTokenFile(config.tokens);
    tokenAuthenticators.push(withAudiences(apiAudiences, createStaticTokenAuthenticator(users)));
  }
  tokenAuthenticators.push(
    createSecretTokenAuthenticator({
      keys,
      apiAudiences,
      objects,
      clock,
      logger,
      looksUp: serviceAccounts.lookup ?? true,
      onUse: (origin) => {
        metrics.count("serviceaccount_legacy_tokens_total");
        if (origin === "autoGenerated") metrics.count("serviceaccount_legacy_auto_token_uses_total");
        else if (origin === "manual") metrics.count("serviceaccount_legacy_manual_token_uses_total");
        else metrics.count("serviceaccount_invalid_legacy_auto_token_uses_total");
      },
    }),
    createServiceAccountAuthenticator({
      issuers,
      keys,
      apiAudiences,
      objects,
      clock,
      onProjectedToken: (isStale) =>
        metrics.count(isStale ? "serviceaccount_stale_tokens_total" : "serviceaccount_valid_tokens_total"),
    }),
  );
  if (settings.bootstrapTokens === true) {
    tokenAuthenticators.push(withAudiences(apiAudiences, createBootstrapTokenAuthenticator({ objects, clock })));
  }
  // After the server's own tokens: a provider may have to be asked.
  const jwt = await openJwt(settings, { ownIssuers: issuers, client: deps.outbound, clock, logger, metrics });
  if (jwt !== undefined) {
    cleanup.use(jwt);
    tokenAuthenticators.push(withAudiences(apiAudiences, jwt.tokens));
  }
  const { webhook } = settings;
  if (webhook !== undefined) {
    const { version, cacheTtlMs, kubeconfigFile: file } = webhook;
    const service = await loadKubeconfigWebhook({ client: deps.outbound, file, clock, random: deps.random });
    tokenAuthenticators.push(
      createWebhookTokenAuthenticator({ webhook: service, version, apiAudiences, cacheTtlMs, clock }),
    );
  }
  const allowsAnonymous: AnonymousRule =
    jwt?.anonymous === undefined
      ? anonymousRule(config.anonymousAuth)
      : anonymousRule(jwt.anonymous.enabled, jwt.anonymous.paths);
  const tokens = tokenUnion(tokenAuthenticators);

  const authenticators: Authenticator[] = [];
  if (requestHeaderCa !== undefined && config.requestHeader !== undefined) {
    authenticators.push(
      createRequestHeaderAuthenticator({ ...config.requestHeader, authorities: requestHeaderCa.current, clock }),
    );
  }
  if (clientCa !== undefined) {
    authenticators.push(
      createCertificateAuthenticator(clientCa.current, clock, (seconds) =>
        metrics.observe("apiserver_client_certificate_expiration_seconds", {}, seconds, EXPIRATION_BUCKETS),
      ),
    );
  }
  const { basicAuthFile } = settings;
  if (basicAuthFile !== undefined) {
    const text = readFileSync(basicAuthFile, "utf8");
    const basic = createBasicAuthenticator(parseBasicAuthFile(text, basicAuthFile), clock);
    const onChange = (content: string): void => basic.replace(parseBasicAuthFile(content, basicAuthFile));
    cleanup.use(watchFile({ path: basicAuthFile, logger, initial: text, onChange }));
    authenticators.push(basic);
  }
  authenticators.push(
    createBearerTokenAuthenticator(tokens, apiAudiences, clock, (isKept) => {
      metrics.count("authentication_token_cache_request_total", isKept ? HIT : MISS);
    }),
  );

  const onRefused = (failures: readonly unknown[]): void =>
    logger.debug("unable to authenticate the request", {
      errors: failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))),
    });
  return {
    authenticate: measured(authenticateWith(authenticators, allowsAnonymous, onRefused), metrics, clock),
    tokens,
    apiAudiences,
    issuer: createTokenIssuer({ issuer: issuerName, key: parseSigningKey(serviceAccounts.signingKey), clock }),
    issuerName,
    keys,
    challenge: basicAuthFile === undefined ? undefined : 'Basic realm="kubernetes-master"',
    clientCa: () => clientCa?.current().pem,
    requestHeaderCa: () => requestHeaderCa?.current().pem,
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}
