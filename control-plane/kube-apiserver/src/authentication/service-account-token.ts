import { randomUUID } from "node:crypto";
import type { Clock } from "@coracle/base";
import { isObject, notFound, type JsonObject } from "@coracle/apimachinery";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { CredentialNotes, TokenAuthenticator } from "./authenticator.ts";
import {
  audiencesOf,
  checkSignature,
  parseToken,
  signToken,
  textClaim,
  type ParsedToken,
  type TokenKey,
} from "./json-web-token.ts";
import { serviceAccountUser } from "./user.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const SERVICE_ACCOUNTS = core("serviceaccounts");
const BOUND_KINDS = { pod: core("pods"), secret: core("secrets"), node: core("nodes") } as const;
type BoundKind = keyof typeof BOUND_KINDS;

interface NameAndUid {
  readonly name: string;
  readonly uid: string;
}

/** What a token is issued for. */
export interface TokenBinding {
  readonly namespace: string;
  readonly serviceAccount: NameAndUid;
  readonly pod?: NameAndUid | undefined;
  readonly secret?: NameAndUid | undefined;
  readonly node?: { readonly name: string; readonly uid?: string | undefined } | undefined;
}

export interface TokenIssuer {
  /** A token good from `now` for `seconds`. `warnAfterSeconds`: its holder ought to have renewed it by then. */
  issue(
    binding: TokenBinding,
    audiences: readonly string[],
    seconds: number,
    warnAfterSeconds?: number,
  ): { readonly token: string; readonly expiresAt: number };
}

/** Issues tokens signed by `key`. */
export function createTokenIssuer(options: {
  readonly issuer: string;
  readonly key: TokenKey;
  readonly clock: Clock;
}): TokenIssuer {
  return {
    issue(binding, audiences, seconds, warnAfterSeconds) {
      const now = Math.floor(options.clock.now() / 1000);
      const token = signToken(options.key, {
        aud: audiences,
        exp: now + seconds,
        iat: now,
        iss: options.issuer,
        jti: randomUUID(),
        "kubernetes.io": {
          namespace: binding.namespace,
          node: binding.node,
          pod: binding.pod,
          secret: binding.secret,
          serviceaccount: binding.serviceAccount,
          ...(warnAfterSeconds === undefined ? {} : { warnafter: now + warnAfterSeconds }),
        },
        nbf: now,
        sub: `system:serviceaccount:${binding.namespace}:${binding.serviceAccount.name}`,
      });
      return { token, expiresAt: (now + seconds) * 1000 };
    },
  };
}

function refOf(value: unknown): NameAndUid | undefined {
  if (!isObject(value)) return undefined;
  return { name: textClaim(value, "name"), uid: textClaim(value, "uid") };
}

/** Clocks may differ by so much, and what was deleted no longer ago still counts as there. */
const LEEWAY_MS = 60_000;
/** How long a verdict is kept: so long may a token outlive the object it is bound to. */
const VERDICT_TTL_MS = 10_000;

export interface ServiceAccountAuthenticatorOptions {
  readonly issuers: readonly string[];
  readonly keys: readonly TokenKey[];
  readonly apiAudiences: readonly string[];
  readonly objects: RegistryReader;
  readonly clock: Clock;
  /** Told of each token used after the time by which it ought to have been renewed, or before. */
  readonly onProjectedToken?: ((isStale: boolean) => void) | undefined;
}

function checkTimes(claims: ParsedToken["claims"], now: number): void {
  const at = (name: string): number | undefined => {
    const value = claims[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "number")
      throw new Error("go-jose/go-jose/jwt: expected number value to unmarshal NumericDate");
    return value * 1000;
  };
  const [notBefore, expires, issued] = [at("nbf"), at("exp"), at("iat")];
  if (notBefore !== undefined && now + LEEWAY_MS < notBefore) throw new Error("service account token is not valid yet");
  if (expires !== undefined && now - LEEWAY_MS > expires) throw new Error("service account token has expired");
  if (issued !== undefined && now + LEEWAY_MS < issued)
    throw new Error("service account token is issued in the future");
}

/** Audiences that the token shares with those wanted. Throws when it is for others only. */
export function matchAudiences(
  tokenAudiences: readonly string[],
  wanted: readonly string[],
  apiAudiences: readonly string[],
): readonly string[] {
  const own = tokenAudiences.length === 0 ? apiAudiences : tokenAudiences;
  const shared = own.filter((audience) => wanted.includes(audience));
  if (shared.length === 0 && apiAudiences.length > 0) {
    const printed = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(" ")}]`;
    throw new Error(`token audiences ${printed(own)} is invalid for the target audiences ${printed(wanted)}`);
  }
  return shared;
}

/** Verifies service-account tokens: signature, times, audience, and that what they are bound to is still there. */
export function createServiceAccountAuthenticator(options: ServiceAccountAuthenticatorOptions): TokenAuthenticator {
  const { clock, objects } = options;

  const isGone = (object: ApiObject): boolean => {
    const deleted = object.metadata["deletionTimestamp"];
    return typeof deleted === "string" && Date.parse(deleted) < clock.now() - LEEWAY_MS;
  };

  async function checkAccount(namespace: string, ref: NameAndUid): Promise<void> {
    if (ref.name === "") throw new Error("resource name may not be empty");
    const account = await objects.get(SERVICE_ACCOUNTS, namespace, ref.name);
    if (account === undefined) throw notFound({ group: "", resource: "serviceaccounts" }, ref.name);
    const uid = account.metadata["uid"] as string;
    if (uid !== ref.uid) throw new Error(`service account UID (${uid}) does not match claim (${ref.uid})`);
    if (isGone(account)) throw new Error(`service account ${namespace}/${ref.name} has been deleted`);
  }

  async function checkBound(kind: BoundKind, namespace: string, ref: NameAndUid): Promise<void> {
    const object = ref.name === "" ? undefined : await objects.get(BOUND_KINDS[kind], namespace, ref.name);
    if (object === undefined) throw new Error("service account token has been invalidated");
    const uid = object.metadata["uid"] as string;
    if (uid !== ref.uid) {
      throw new Error(`${kind} UID (${uid}) does not match service account ${kind} ref claim (${ref.uid})`);
    }
    if (isGone(object)) throw new Error("service account token has been invalidated");
  }

  /** A note for the audit log when the token should have been renewed by now. */
  function staleNote(own: JsonObject, subject: string): CredentialNotes | undefined {
    const warnAfter = own["warnafter"];
    if (typeof warnAfter !== "number" || warnAfter === 0) return undefined;
    const late = Math.floor(clock.now() / 1000) - warnAfter;
    const isStale = clock.now() > warnAfter * 1000;
    options.onProjectedToken?.(isStale);
    if (!isStale) return undefined;
    const text = `subject: ${subject}, seconds after warning threshold: ${late}`;
    return { annotations: { "authentication.k8s.io/stale-token": text } };
  }

  return {
    async authenticateToken(token, wanted = options.apiAudiences) {
      const parsed = parseToken(token);
      if (parsed === undefined || !options.issuers.includes(textClaim(parsed.claims, "iss"))) return undefined;
      checkSignature(token, parsed.header, options.keys);
      const { claims } = parsed;
      const audiences = matchAudiences(audiencesOf(claims), wanted, options.apiAudiences);
      checkTimes(claims, clock.now());
      const own = isObject(claims["kubernetes.io"]) ? (claims["kubernetes.io"] as JsonObject) : {};
      const namespace = textClaim(own, "namespace");
      const account = refOf(own["serviceaccount"]) ?? { name: "", uid: "" };
      const [pod, node, secret] = [refOf(own["pod"]), refOf(own["node"]), refOf(own["secret"])];
      await checkAccount(namespace, account);
      if (secret !== undefined) await checkBound("secret", namespace, secret);
      if (pod !== undefined) await checkBound("pod", namespace, pod);
      // A pod's token names the node too, for information only.
      else if (node !== undefined) await checkBound("node", "", node);
      const extra: Record<string, string[]> = {};
      const jti = textClaim(claims, "jti");
      if (jti !== "") extra["authentication.kubernetes.io/credential-id"] = [`JTI=${jti}`];
      for (const [kind, ref] of [
        ["pod", pod],
        ["node", node],
      ] as const) {
        if (ref === undefined || ref.name === "") continue;
        extra[`authentication.kubernetes.io/${kind}-name`] = [ref.name];
        if (kind === "pod" || ref.uid !== "") extra[`authentication.kubernetes.io/${kind}-uid`] = [ref.uid];
      }
      const expires = typeof claims["exp"] === "number" ? claims["exp"] * 1000 + LEEWAY_MS : Infinity;
      return {
        user: serviceAccountUser(namespace, account.name, account.uid, extra),
        audiences,
        keepUntil: Math.min(clock.now() + VERDICT_TTL_MS, expires),
        notes: staleNote(own, textClaim(claims, "sub")),
      };
    },
  };
}
