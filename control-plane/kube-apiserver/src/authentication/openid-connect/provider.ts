import { constants, createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { isObject } from "@coracle/apimachinery";
import { TaskScope, sleep, isAbort, type Clock, type Logger } from "@coracle/base";
import type { OutboundAnswer, OutboundClient } from "../../outbound/outbound-client.ts";
import type { OutboundTarget } from "../../outbound/target.ts";
import type { AccessMetrics } from "../access-metrics.ts";
import { serverIdHash } from "../access-metrics.ts";
import { audiencesOf, parseToken, signedParts, textClaim, type ParsedToken } from "../json-web-token.ts";

/** A key of a provider. */
interface ProviderKey {
  readonly id: string;
  readonly key: KeyObject;
  /** Algorithms that a key of this type can be used with, of which a key may name one. */
  readonly algorithms: readonly string[];
}

export interface ProviderOptions {
  readonly issuer: string;
  /** Where the discovery document is, when not below the issuer's own URL. */
  readonly discoveryUrl?: string | undefined;
  /** PEM; absent: the host's authorities. */
  readonly ca?: string | undefined;
  readonly algorithms: readonly string[];
  readonly audiences: readonly string[];
  readonly client: OutboundClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AccessMetrics;
}

/** An OpenID provider, as far as its tokens are verified. */
export interface OpenIdProvider extends AsyncDisposable {
  /** Why tokens cannot be verified yet; undefined when they can. */
  problem(): string | undefined;
  /** Resolves when tokens can be verified. Throws the last failure when that takes longer. */
  whenReady(timeoutMs: number): Promise<void>;
  /** The token's claims, once everything about it holds. Throws otherwise. */
  verify(token: string): Promise<ParsedToken["claims"]>;
  /** The body at a URL, as distributed claims are fetched. */
  fetch(url: string, authorization?: string): Promise<string>;
}

const RETRY_MS = 10_000;
const TIMEOUT_MS = 30_000;
const MAX_BYTES = 1024 * 1024;
const KEYS_EXPIRE_EARLY_MS = 30_000;
const NOT_BEFORE_LEEWAY_MS = 60_000;
const CURVES: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };

/** Keys that signatures can be checked with; others are left out. Throws when it is no key set. */
export function parseKeySet(text: string): ProviderKey[] {
  const document: unknown = JSON.parse(text);
  if (!isObject(document) || !Array.isArray(document["keys"])) throw new Error("no keys in the key set");
  return document["keys"].filter(isObject).flatMap((entry): ProviderKey[] => {
    const { kty, use, alg, crv } = entry;
    const fits =
      kty === "RSA"
        ? ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        : kty === "EC" && typeof crv === "string" && Object.hasOwn(CURVES, crv)
          ? [CURVES[crv]!]
          : [];
    const algorithms = typeof alg === "string" ? fits.filter((each) => each === alg) : fits;
    // A symmetric key never verifies: who can check with it can sign with it.
    if (algorithms.length === 0 || (use !== undefined && use !== "sig")) return [];
    try {
      const key = createPublicKey({ key: entry as JsonWebKey, format: "jwk" });
      return [{ id: textClaim(entry, "kid"), key, algorithms }];
    } catch {
      return [];
    }
  });
}

/** Whether the key made the signature by the algorithm that the token names. */
function isSignedBy({ key, algorithms }: ProviderKey, token: string, algorithm: string): boolean {
  if (!algorithms.includes(algorithm)) return false;
  const { signed, signature } = signedParts(token);
  const digest = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith("PS")) {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return verify(digest, signed, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature);
  }
  return verify(digest, signed, { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** How long an answer may be kept, in milliseconds from now. */
function freshnessOf(headers: OutboundAnswer["headers"]): number {
  const control = String(headers["cache-control"] ?? "");
  if (/\b(no-store|no-cache|private)\b/i.test(control)) return 0;
  const age = /\bmax-age=(\d+)/i.exec(control)?.[1];
  return age === undefined ? 0 : Number(age) * 1000;
}

const printed = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(" ")}]`;
const utc = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString() : "0001-01-01 00:00:00 +0000 UTC";
const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** `jwt_issuer_hash` of the metrics. */
export const issuerHash = sha256;

/** Finds a provider's keys by its discovery document, trying again until it answers, and verifies its tokens. */
export function createOpenIdProvider(options: ProviderOptions): OpenIdProvider {
  const { issuer, clock, logger, client, metrics } = options;
  const scope = new TaskScope();
  let problem: string | undefined = `oidc: authenticator for issuer ${JSON.stringify(issuer)} is not initialized`;
  let keysUrl: string | undefined;
  let keys: readonly ProviderKey[] = [];
  let keysExpireAt = 0;
  let fetching: Promise<void> | undefined;
  let settle: () => void = () => {};
  const ready = new Promise<void>((resolve) => (settle = resolve));

  async function get(url: string, authorization?: string): Promise<OutboundAnswer> {
    const { origin, hostname, port, pathname, search } = new URL(url);
    const host = hostname.replace(/^\[|\]$/g, "");
    const target: OutboundTarget = {
      origin,
      path: "",
      locate: () => ({ host, port: port === "" ? 443 : Number(port) }),
      serverName: host,
      ca: options.ca,
      mayHttp2: false,
    };
    const headers = { accept: "application/json", ...(authorization === undefined ? {} : { authorization }) };
    return client.call(target, {
      method: "GET",
      path: `${pathname}${search}`,
      headers,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_BYTES,
      signal: scope.signal,
    });
  }

  async function discover(): Promise<string> {
    const wellKnown = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { status, body } = await get(options.discoveryUrl ?? wellKnown);
    const text = body.toString("utf8");
    if (status !== 200) throw new Error(`${status}: ${text.slice(0, 1000)}`);
    const document: unknown = JSON.parse(text);
    const named = isObject(document) ? textClaim(document, "issuer") : "";
    if (named !== issuer) {
      throw new Error(
        `oidc: issuer did not match the issuer returned by provider, expected ${JSON.stringify(issuer)} got ${JSON.stringify(named)}`,
      );
    }
    const url = isObject(document) ? textClaim(document, "jwks_uri") : "";
    if (!URL.canParse(url) || new URL(url).protocol !== "https:")
      throw new Error("oidc: jwks_uri must be an https URL");
    return url;
  }

  async function updateKeys(): Promise<void> {
    const labels = { apiserver_id_hash: serverIdHash(), jwt_issuer_hash: issuerHash(issuer) };
    const name = "apiserver_authentication_jwt_authenticator_jwks_fetch_last";
    let result = "failure";
    try {
      const { status, headers, body } = await get(keysUrl!);
      const text = body.toString("utf8");
      if (status !== 200) throw new Error(`oidc: get keys failed: ${status}`);
      try {
        keys = parseKeySet(text);
      } catch (error) {
        throw new Error(`oidc: failed to decode keys: ${(error as Error).message}`, { cause: error });
      }
      keysExpireAt = clock.now() + freshnessOf(headers);
      metrics.set(`${name}_key_set_info`, { ...labels, hash: sha256(text) }, 1);
      result = "success";
    } finally {
      metrics.set(`${name}_timestamp_seconds`, { ...labels, result }, clock.now() / 1000);
    }
  }

  function refreshKeys(): Promise<void> {
    return (fetching ??= updateKeys().finally(() => (fetching = undefined)));
  }

  scope.run(async () => {
    for (;;) {
      try {
        keysUrl = await discover();
        problem = undefined;
        settle();
        return;
      } catch (error) {
        if (scope.signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        problem = `oidc: authenticator for issuer ${JSON.stringify(issuer)} is not initialized: ${why}`;
        logger.error("the OpenID provider cannot be reached yet", { issuer, error: why });
      }
      try {
        await sleep(clock, RETRY_MS, scope.signal);
      } catch (error) {
        if (isAbort(error)) return;
        throw error;
      }
    }
  });

  function checkClaims({ header, claims }: ParsedToken): string {
    const audiences = audiencesOf(claims);
    if (!audiences.some((audience) => options.audiences.includes(audience))) {
      const [only] = options.audiences;
      const wanted = options.audiences.length === 1 ? JSON.stringify(only) : printed(options.audiences.toSorted());
      throw new Error(
        `oidc: expected audience ${options.audiences.length === 1 ? "" : "in "}${wanted} got ${printed(audiences)}`,
      );
    }
    for (const name of ["exp", "nbf", "iat"]) {
      const value = claims[name];
      if (value !== undefined && value !== null && typeof value !== "number") {
        throw new Error(`oidc: failed to unmarshal claims: ${name} is no number`);
      }
    }
    const now = clock.now();
    const expires = typeof claims["exp"] === "number" ? claims["exp"] * 1000 : -Infinity;
    if (expires < now) throw new Error(`oidc: token is expired (Token Expiry: ${utc(expires)})`);
    const notBefore = claims["nbf"];
    if (typeof notBefore === "number" && now + NOT_BEFORE_LEEWAY_MS < notBefore * 1000) {
      throw new Error(`oidc: current time ${utc(now)} before the nbf (not before) time: ${utc(notBefore * 1000)}`);
    }
    const algorithm = textClaim(header, "alg");
    if (!options.algorithms.includes(algorithm)) {
      throw new Error(
        `oidc: id token signed with unsupported algorithm, expected ${printed(options.algorithms)} got ${JSON.stringify(algorithm)}`,
      );
    }
    return algorithm;
  }

  return {
    problem: () => problem,
    async whenReady(timeoutMs) {
      let giveUp: () => void = () => {};
      const timeout = new Promise<void>((resolve) => (giveUp = resolve));
      using _timer = clock.after(timeoutMs, () => giveUp());
      await Promise.race([ready, timeout]);
      if (problem !== undefined) throw new Error(problem);
    },
    async verify(token) {
      if (problem !== undefined) throw new Error("oidc: authenticator not initialized");
      const parsed = parseToken(token);
      if (parsed === undefined) throw new Error("oidc: verify token: oidc: malformed jwt");
      try {
        const algorithm = checkClaims(parsed);
        const kid = textClaim(parsed.header, "kid");
        const isSigned = (): boolean =>
          keys.some((key) => (kid === "" || key.id === kid) && isSignedBy(key, token, algorithm));
        if (isSigned()) return parsed.claims;
        if (clock.now() + KEYS_EXPIRE_EARLY_MS <= keysExpireAt) {
          throw new Error("failed to verify signature: failed to verify id token signature");
        }
        try {
          await refreshKeys();
        } catch (error) {
          throw new Error(`failed to verify signature: fetching keys ${(error as Error).message}`, { cause: error });
        }
        if (isSigned()) return parsed.claims;
        throw new Error("failed to verify signature: failed to verify id token signature");
      } catch (error) {
        throw new Error(`oidc: verify token: ${(error as Error).message}`, { cause: error });
      }
    },
    async fetch(url, authorization) {
      const { status, body } = await get(url, authorization);
      if (status < 200 || status > 226) throw new Error(`error while getting distributed claim JWT: ${status}`);
      return body.toString("utf8");
    },
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}
