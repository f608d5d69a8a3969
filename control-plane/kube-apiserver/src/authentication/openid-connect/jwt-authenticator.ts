import { isObject } from "@coracle/apimachinery";
import type { Clock, Logger } from "@coracle/base";
import type { OutboundClient } from "../../outbound/outbound-client.ts";
import type { AccessMetrics } from "../access-metrics.ts";
import type { TokenAuthenticator } from "../authenticator.ts";
import { parseToken, textClaim, type ParsedToken } from "../json-web-token.ts";
import { withAuthenticatedGroup, type UserInfo } from "../user.ts";
import type { ClaimSource, JwtAuthenticatorEntry } from "./authentication-configuration.ts";
import type * as expressionModule from "./expressions.ts";
import { createOpenIdProvider, issuerHash, type OpenIdProvider } from "./provider.ts";

type Claims = ParsedToken["claims"];
type Expressions = typeof expressionModule;

export interface JwtAuthenticatorOptions {
  readonly entry: JwtAuthenticatorEntry;
  readonly algorithms: readonly string[];
  readonly client: OutboundClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AccessMetrics;
  /** What compiles expressions; only there when the entry has some. */
  readonly expressions: Expressions | undefined;
}

/** Believes the tokens of one issuer. */
export interface JwtAuthenticator extends TokenAuthenticator, AsyncDisposable {
  readonly provider: OpenIdProvider;
}

const VERDICT_TTL_MS = 10_000;
const MAX_CLAIM_ISSUERS = 16;

const has = (claims: Claims, name: string): boolean => Object.hasOwn(claims, name);

function goType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return value === null || typeof value === "object" ? "object" : typeof value;
}

function textOf(claims: Claims, name: string): string {
  if (!has(claims, name)) throw new Error("claim not present");
  const value = claims[name];
  // A null leaves a text empty.
  if (value === null) return "";
  if (typeof value === "string") return value;
  throw new Error(`json: cannot unmarshal ${goType(value)} into Go value of type string`);
}

/** Says in which part of the work an error came up. */
function within<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

function usernameByClaim(claims: Claims, { claim, prefix = "" }: ClaimSource): string {
  const name = within(`oidc: parse username claims ${JSON.stringify(claim)}`, () => textOf(claims, claim));
  if (claim === "email" && has(claims, "email_verified")) {
    const isVerified = claims["email_verified"];
    if (typeof isVerified !== "boolean") {
      const type = goType(isVerified);
      throw new Error(`oidc: parse 'email_verified' claim: json: cannot unmarshal ${type} into Go value of type bool`);
    }
    if (!isVerified) throw new Error("oidc: email not verified");
  }
  return prefix + name;
}

function groupsByClaim(claims: Claims, { claim, prefix = "" }: ClaimSource): string[] {
  const value = claims[claim];
  const list = typeof value === "string" ? [value] : value;
  if (value === null) return [];
  if (!Array.isArray(list) || !list.every((item) => typeof item === "string")) {
    const why = `json: cannot unmarshal ${goType(value)} into Go value of type string`;
    throw new Error(`oidc: parse groups claim ${JSON.stringify(claim)}: ${why}`);
  }
  return list.map((group) => prefix + group);
}

/** The steps from claims to a user, made ready once. */
function compileUser(entry: JwtAuthenticatorEntry, expressions: Expressions | undefined): (claims: Claims) => UserInfo {
  const { username, groups, uid, extra } = entry.claimMappings;
  const using = (): Expressions => {
    if (expressions === undefined) throw new Error("expressions are not available");
    return expressions;
  };
  const nameBy = username.expression === "" ? undefined : using().compileText(username.expression, "username");
  const groupsBy = groups.expression === "" ? undefined : using().compileTexts(groups.expression);
  const uidBy = uid.expression === "" ? undefined : using().compileText(uid.expression, "uid");
  const extraBy = extra.map(({ key, valueExpression }) => ({
    key,
    expression: valueExpression,
    read: using().compileTexts(valueExpression),
  }));
  const claimRules = entry.claimValidationRules
    .filter(({ expression }) => expression !== "")
    .map(({ expression, message }) => using().compileClaimRule(expression, message));
  const userRules = entry.userValidationRules.map(({ expression, message }) =>
    using().compileUserRule(expression, message),
  );

  function nameOf(claims: Claims): string {
    if (nameBy === undefined) return usernameByClaim(claims, username);
    const name = within("oidc: error evaluating username claim expression", () => nameBy(claims));
    if (name === "") throw new Error("oidc: empty username via CEL expression is not allowed");
    return name;
  }

  function groupsOf(claims: Claims): string[] {
    if (groups.claim !== "" && has(claims, groups.claim)) return groupsByClaim(claims, groups);
    return groupsBy === undefined
      ? []
      : within("oidc: error evaluating group claim expression", () => groupsBy(claims));
  }

  function uidOf(claims: Claims): string {
    if (uid.claim !== "") {
      return within(`oidc: parse uid claim ${JSON.stringify(uid.claim)}`, () => textOf(claims, uid.claim));
    }
    return uidBy === undefined ? "" : within("oidc: error evaluating uid claim expression", () => uidBy(claims));
  }

  function extraOf(claims: Claims): Record<string, string[]> {
    const found: Record<string, string[]> = {};
    const jti = textClaim(claims, "jti");
    if (jti !== "") found["authentication.kubernetes.io/credential-id"] = [`JTI=${jti}`];
    for (const { key, expression, read } of extraBy) {
      const values = within(`oidc: error evaluating extra claim expression: ${expression}`, () => read(claims));
      if (values.length > 0) found[key] = values;
    }
    return found;
  }

  return (claims) => {
    const [name, userGroups, userUid, userExtra] = [nameOf(claims), groupsOf(claims), uidOf(claims), extraOf(claims)];
    for (const { claim, requiredValue } of entry.claimValidationRules) {
      if (claim === "") continue;
      if (!has(claims, claim)) throw new Error(`oidc: required claim ${claim} not present in ID token`);
      const value = within(`oidc: parse claim ${claim}`, () => textOf(claims, claim));
      if (value !== requiredValue) {
        const what = `oidc: required claim ${claim} value does not match`;
        throw new Error(`${what}. Got = ${value}, want = ${requiredValue}`);
      }
    }
    within("oidc: error evaluating claim validation expression", () => claimRules.forEach((rule) => rule(claims)));
    const user: UserInfo = {
      name,
      groups: userGroups,
      ...(userUid === "" ? {} : { uid: userUid }),
      ...(Object.keys(userExtra).length === 0 ? {} : { extra: userExtra }),
    };
    within("oidc: error evaluating user info validation rule", () => userRules.forEach((rule) => rule(user)));
    return withAuthenticatedGroup(user);
  };
}

/** Tokens of one issuer, and who their bearers are. Throws when an expression is none. */
export function createJwtAuthenticator(options: JwtAuthenticatorOptions): JwtAuthenticator {
  const { entry, clock, metrics } = options;
  const { url, discoveryUrl, certificateAuthority, audiences } = entry.issuer;
  const userOf = compileUser(entry, options.expressions);
  const groupsClaim = entry.claimMappings.groups.claim;
  const shared = {
    audiences,
    algorithms: options.algorithms,
    client: options.client,
    clock,
    logger: options.logger,
    metrics,
  };
  const ca = certificateAuthority === "" ? undefined : certificateAuthority;
  const provider = createOpenIdProvider({
    ...shared,
    issuer: url,
    discoveryUrl: discoveryUrl === "" ? undefined : discoveryUrl,
    ca,
  });
  const claimIssuers = new Map<string, OpenIdProvider>();

  function providerOf(issuer: string): OpenIdProvider {
    if (issuer === url) return provider;
    const known = claimIssuers.get(issuer);
    if (known !== undefined) return known;
    if (claimIssuers.size >= MAX_CLAIM_ISSUERS) throw new Error("too many issuers of distributed claims");
    const made = createOpenIdProvider({ ...shared, issuer, ca });
    claimIssuers.set(issuer, made);
    return made;
  }

  /** Groups that the token does not hold itself but says where to get (OpenID Connect Core, 5.6.2). */
  async function expand(claims: Claims): Promise<Claims> {
    if (groupsClaim === "" || has(claims, groupsClaim) || !has(claims, "_claim_names")) return claims;
    const [names, sources] = [claims["_claim_names"], claims["_claim_sources"]];
    if (!isObject(names)) throw new Error("oidc: error parsing distributed claim names");
    if (!isObject(sources)) throw new Error("oidc: no claim sources");
    const source = textClaim(names, groupsClaim);
    if (source === "") return claims;
    const place = Object.hasOwn(sources, source) ? sources[source] : undefined;
    if (!isObject(place))
      throw new Error(`id token _claim_names contained a source ${source} missing in _claims_sources`);
    const endpoint = textClaim(place, "endpoint");
    if (endpoint === "") return claims;
    if (!URL.canParse(endpoint) || new URL(endpoint).protocol !== "https:")
      throw new Error(`while calling ${endpoint}`);
    const accessToken = textClaim(place, "access_token");
    const token = (await provider.fetch(endpoint, accessToken === "" ? undefined : `Bearer ${accessToken}`)).trim();
    const issuer = textClaim(parseToken(token)?.claims ?? {}, "iss");
    const found = await providerOf(issuer).verify(token);
    if (!has(found, groupsClaim)) {
      throw new Error(
        `jwt returned by distributed claim endpoint ${JSON.stringify(endpoint)} did not contain claim: ${groupsClaim}`,
      );
    }
    return { ...claims, [groupsClaim]: found[groupsClaim] };
  }

  async function authenticate(token: string) {
    const verified = await provider.verify(token);
    const claims = await expand(verified).catch((error: unknown) => {
      throw new Error(`oidc: could not expand distributed claims: ${(error as Error).message}`, { cause: error });
    });
    const expires = (claims["exp"] as number) * 1000;
    return { user: userOf(claims), audiences: [], keepUntil: Math.min(clock.now() + VERDICT_TTL_MS, expires) };
  }

  return {
    provider,
    async authenticateToken(token) {
      const issuer = textClaim(parseToken(token)?.claims ?? {}, "iss");
      const isOurs = issuer === url || (issuer === "accounts.google.com" && url === "https://accounts.google.com");
      if (!isOurs) return undefined;
      const startedAt = clock.monotonicMs();
      let result = "failure";
      try {
        const verdict = await authenticate(token);
        result = "success";
        return verdict;
      } finally {
        const seconds = (clock.monotonicMs() - startedAt) / 1000;
        const labels = { jwt_issuer_hash: issuerHash(url), result };
        metrics.observe("apiserver_authentication_jwt_authenticator_latency_seconds", labels, seconds);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([provider, ...claimIssuers.values()].map((each) => each[Symbol.asyncDispose]()));
    },
  };
}
