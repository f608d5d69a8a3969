import { X509Certificate } from "node:crypto";
import { UsageError } from "@coracle/base";
import type { AuthenticationSettings, OpenIdFlags } from "./authentication/settings.ts";
import type { AuthorizationMode, AuthorizationSettings } from "./authorization/settings.ts";
import { parseDurationMs } from "./files/config-document.ts";

/** How flags are taken from a command line. */
export interface FlagTaker {
  /** Whether the flag was given. To be asked before it is taken. */
  has(name: string): boolean;
  take(name: string, fallback: string): string;
  takeList(name: string, fallback?: readonly string[]): string[];
  takeBoolean(name: string, fallback: boolean): boolean;
  /** All values, as they were given. */
  takeAll(name: string): string[];
}

/** Flags about who may come in, and what he may do. Files are named, not read. */
export interface AccessFlags {
  readonly authorizationModes: readonly AuthorizationMode[];
  readonly authorization: AuthorizationSettings;
  /** `openId.ca` names a file. */
  readonly authentication: AuthenticationSettings;
  readonly anonymousAuth: boolean;
  readonly jwksUri: string | undefined;
  readonly looksUpTokens: boolean;
}

const MODES: readonly AuthorizationMode[] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];
const SIGNING = new Set(["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]);
const OIDC_FLAGS = [
  "oidc-issuer-url",
  "oidc-client-id",
  "oidc-ca-file",
  "oidc-username-claim",
  "oidc-username-prefix",
  "oidc-groups-claim",
  "oidc-groups-prefix",
  "oidc-signing-algs",
  "oidc-required-claim",
];
const AUTHORIZATION_FLAGS = [
  "authorization-mode",
  "authorization-webhook-config-file",
  "authorization-webhook-version",
  "authorization-webhook-cache-authorized-ttl",
  "authorization-webhook-cache-unauthorized-ttl",
];

const optional = (text: string): string | undefined => (text === "" ? undefined : text);

function takeDurationMs(flags: FlagTaker, name: string, fallback: string): number {
  const text = flags.take(name, fallback);
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  throw new UsageError(
    `invalid argument ${JSON.stringify(text)} for "--${name}" flag: time: invalid duration ${JSON.stringify(text)}`,
  );
}

function takeOpenId(flags: FlagTaker, hasConfigFile: boolean): OpenIdFlags | undefined {
  const given = OIDC_FLAGS.filter((name) => flags.has(name));
  const requiredClaims: Record<string, string> = {};
  for (const pair of flags.takeAll("oidc-required-claim")) {
    const mark = pair.indexOf("=");
    if (mark === -1) {
      const why = `malformed pair, expect string=string`;
      throw new UsageError(`invalid argument ${JSON.stringify(pair)} for "--oidc-required-claim" flag: ${why}`);
    }
    requiredClaims[pair.slice(0, mark).trim()] = pair.slice(mark + 1).trim();
  }
  const openId: OpenIdFlags = {
    issuerUrl: flags.take("oidc-issuer-url", ""),
    clientId: flags.take("oidc-client-id", ""),
    ca: optional(flags.take("oidc-ca-file", "")),
    usernameClaim: flags.take("oidc-username-claim", "sub"),
    usernamePrefix: flags.take("oidc-username-prefix", ""),
    groupsClaim: flags.take("oidc-groups-claim", ""),
    groupsPrefix: flags.take("oidc-groups-prefix", ""),
    signingAlgorithms: flags.takeList("oidc-signing-algs", ["RS256"]),
    requiredClaims,
  };
  if (hasConfigFile && given.length > 0) {
    throw new UsageError("authentication-config file and oidc-* flags are mutually exclusive");
  }
  if (given.length === 0) return undefined;
  if (openId.issuerUrl === "" || openId.clientId === "") {
    throw new UsageError("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set");
  }
  if (openId.usernameClaim === "") throw new UsageError("oidc-username-claim must not be empty");
  const unknown = openId.signingAlgorithms.find((algorithm) => !SIGNING.has(algorithm));
  if (unknown !== undefined) throw new UsageError(`oidc: unsupported signing alg: ${JSON.stringify(unknown)}`);
  return openId;
}

function takeAuthorization(flags: FlagTaker): Pick<AccessFlags, "authorizationModes" | "authorization"> {
  const given = AUTHORIZATION_FLAGS.filter((name) => flags.has(name));
  const configFile = optional(flags.take("authorization-config", ""));
  const policyFile = optional(flags.take("authorization-policy-file", ""));
  const webhookFile = optional(flags.take("authorization-webhook-config-file", ""));
  const version = flags.take("authorization-webhook-version", "v1beta1");
  const authorizedTtlMs = takeDurationMs(flags, "authorization-webhook-cache-authorized-ttl", "5m");
  const unauthorizedTtlMs = takeDurationMs(flags, "authorization-webhook-cache-unauthorized-ttl", "30s");
  const modes = flags.takeList("authorization-mode");
  if (configFile !== undefined) {
    if (given.length > 0) {
      throw new UsageError(
        "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined",
      );
    }
    return { authorizationModes: [], authorization: { configFile, policyFile } };
  }
  if (modes.length === 0) modes.push("AlwaysAllow");
  for (const mode of modes) {
    if (!(MODES as readonly string[]).includes(mode)) {
      throw new UsageError(`authorization-mode ${JSON.stringify(mode)} is not a valid mode`);
    }
    if (mode === "ABAC" && policyFile === undefined) {
      throw new UsageError("authorization-mode ABAC's authorization policy file not passed");
    }
    if (mode === "Webhook" && webhookFile === undefined) {
      throw new UsageError("authorization-mode Webhook's authorization config file not passed");
    }
  }
  if (policyFile !== undefined && !modes.includes("ABAC")) {
    throw new UsageError("cannot specify --authorization-policy-file without mode ABAC");
  }
  if (webhookFile !== undefined && !modes.includes("Webhook")) {
    throw new UsageError("cannot specify --authorization-webhook-config-file without mode Webhook");
  }
  if (new Set(modes).size !== modes.length) {
    const list = modes.map((mode) => JSON.stringify(mode)).join(" ");
    throw new UsageError(`authorization-mode [${list}] has mode specified more than once`);
  }
  const webhook =
    webhookFile === undefined
      ? undefined
      : { kubeconfigFile: webhookFile, version, authorizedTtlMs, unauthorizedTtlMs };
  return { authorizationModes: modes as AuthorizationMode[], authorization: { policyFile, webhook } };
}

function takeJwksUri(flags: FlagTaker): string | undefined {
  const text = optional(flags.take("service-account-jwks-uri", ""));
  if (text === undefined) return undefined;
  if (!URL.canParse(text)) throw new UsageError(`service-account-jwks-uri must be a valid URL: ${text}`);
  if (new URL(text).protocol !== "https:") {
    throw new UsageError(`service-account-jwks-uri requires https scheme, parsed as: ${text}`);
  }
  return text;
}

/** Takes the flags of authentication and authorisation. Throws a UsageError with upstream's text where they contradict. */
export function takeAccessFlags(flags: FlagTaker): AccessFlags {
  const configFile = optional(flags.take("authentication-config", ""));
  const anonymousIsSet = flags.has("anonymous-auth");
  const webhookFile = optional(flags.take("authentication-token-webhook-config-file", ""));
  const version = flags.take("authentication-token-webhook-version", "v1beta1");
  const cacheTtlMs = takeDurationMs(flags, "authentication-token-webhook-cache-ttl", "2m");
  if (webhookFile !== undefined && version !== "v1" && version !== "v1beta1") {
    throw new UsageError(
      `unsupported authentication webhook version ${JSON.stringify(version)}, supported versions are "v1", "v1beta1"`,
    );
  }
  return {
    ...takeAuthorization(flags),
    authentication: {
      configFile,
      anonymousIsSet,
      basicAuthFile: optional(flags.take("basic-auth-file", "")),
      bootstrapTokens: flags.takeBoolean("enable-bootstrap-token-auth", false),
      openId: takeOpenId(flags, configFile !== undefined),
      webhook: webhookFile === undefined ? undefined : { kubeconfigFile: webhookFile, version, cacheTtlMs },
    },
    anonymousAuth: flags.takeBoolean("anonymous-auth", true),
    jwksUri: takeJwksUri(flags),
    looksUpTokens: flags.takeBoolean("service-account-lookup", true),
  };
}

/** What is wrong with the issuers of service-account tokens; undefined when nothing. */
export function issuerProblem(issuers: readonly string[]): string | undefined {
  if (issuers.length === 0) return "service-account-issuer is a required flag";
  for (const [i, issuer] of issuers.entries()) {
    if (issuer.includes(":") && !URL.canParse(issuer)) {
      return `service-account-issuer ${JSON.stringify(issuer)} contained a ':' but was not a valid URL`;
    }
    if (issuers.indexOf(issuer) !== i) return `service-account-issuer ${JSON.stringify(issuer)} is already specified`;
  }
  return undefined;
}

/** What is wrong with the flags of the front proxy; undefined when nothing. */
export function requestHeaderProblem(headers: {
  readonly usernameHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  readonly allowedNames: readonly string[];
  readonly uidHeaders: readonly string[];
}): string | undefined {
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ["requestheader-username-headers", headers.usernameHeaders],
    ["requestheader-group-headers", headers.groupHeaders],
    ["requestheader-extra-headers-prefix", headers.extraHeaderPrefixes],
    ["requestheader-allowed-names", headers.allowedNames],
    ["requestheader-uid-headers", headers.uidHeaders],
  ];
  for (const [name, values] of lists) {
    if (values.some((value) => value.trim() === "")) return `empty value in ${JSON.stringify(name)}`;
  }
  const { uidHeaders } = headers;
  if (uidHeaders.length > 0 && !uidHeaders.some((header) => header.toLowerCase() === "x-remote-uid")) {
    return "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work";
  }
  return undefined;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Throws when who vouches for users also vouches for proxies of any name. */
export function checkOverlap(
  clientCa: string | undefined,
  proxyCa: string | undefined,
  allowedNames: readonly string[],
) {
  if (clientCa === undefined || proxyCa === undefined || allowedNames.length > 0) return;
  const prints = (pem: string): string[] =>
    (pem.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text).fingerprint256);
  const known = new Set(prints(clientCa));
  if (!prints(proxyCa).some((print) => known.has(print))) return;
  throw new UsageError(
    "--requestheader-client-ca-file and --client-ca-file contain overlapping certificates; --requestheader-allowed-names must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users",
  );
}
