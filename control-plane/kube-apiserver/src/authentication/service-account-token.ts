import { randomUUID } from "node:crypto";
import type { Clock } from "@coracle/base";
import { isObject } from "@coracle/apimachinery";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import { hasValidSignature, parseToken, signToken, type TokenKey } from "./json-web-token.ts";
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
  if (!isObject(value) || typeof value["name"] !== "string") return undefined;
  return { name: value["name"], uid: typeof value["uid"] === "string" ? value["uid"] : "" };
}

/** Legacy tokens were valid while their object was being deleted; bound ones end a little after. */
const DELETION_LEEWAY_MS = 60_000;
/** How long a verdict is kept: so long may a token outlive the object it is bound to. */
const VERDICT_TTL_MS = 10_000;

/** Verifies service-account tokens: signature, times, audience, and that what they are bound to is still there. */
export function createServiceAccountAuthenticator(options: {
  readonly issuers: readonly string[];
  readonly keys: readonly TokenKey[];
  readonly apiAudiences: readonly string[];
  readonly objects: RegistryReader;
  readonly clock: Clock;
}): TokenAuthenticator {
  const { clock, objects } = options;

  async function mustExist(
    resource: ResourceRef,
    namespace: string,
    ref: NameAndUid,
    what: string,
  ): Promise<ApiObject> {
    const object = await objects.get(resource, namespace, ref.name);
    if (object === undefined) throw new Error(`service account token's ${what} does not exist`);
    const { metadata } = object;
    if (ref.uid !== "" && metadata["uid"] !== ref.uid) {
      throw new Error(`the token's ${what} has another UID now`);
    }
    const deleted = metadata["deletionTimestamp"];
    if (typeof deleted === "string" && Date.parse(deleted) + DELETION_LEEWAY_MS < clock.now()) {
      throw new Error(`service account token has been invalidated: ${what} was deleted`);
    }
    return object;
  }

  return {
    async authenticateToken(token, wanted = options.apiAudiences) {
      const parsed = parseToken(token);
      if (parsed === undefined || !options.issuers.includes(String(parsed.claims["iss"]))) return undefined;
      if (!hasValidSignature(token, parsed.header, options.keys)) throw new Error("invalid bearer token");
      const { claims } = parsed;
      const nowSeconds = clock.now() / 1000;
      const expires = Number(claims["exp"]);
      if (!(nowSeconds <= expires)) throw new Error("service account token has expired");
      if (Number(claims["nbf"] ?? 0) > nowSeconds + 10) throw new Error("service account token is not valid yet");
      const aud = claims["aud"];
      const tokenAudiences = Array.isArray(aud) ? aud.map(String) : [String(aud)];
      const audiences = tokenAudiences.filter((audience) => wanted.includes(audience));
      if (audiences.length === 0) {
        throw new Error(
          `token audiences ${JSON.stringify(tokenAudiences)} is invalid for the target audiences ${JSON.stringify(wanted)}`,
        );
      }
      const own = claims["kubernetes.io"];
      if (!isObject(own)) throw new Error("not a bound service account token");
      const namespace = String(own["namespace"]);
      const account = refOf(own["serviceaccount"]);
      if (account === undefined || claims["sub"] !== `system:serviceaccount:${namespace}:${account.name}`) {
        throw new Error("sub claim is invalid");
      }
      await mustExist(SERVICE_ACCOUNTS, namespace, account, "service account");
      const extra: Record<string, string[]> = {};
      if (typeof claims["jti"] === "string")
        extra["authentication.kubernetes.io/credential-id"] = [`JTI=${claims["jti"]}`];
      const isBoundToNodeOnly = own["pod"] === undefined && own["secret"] === undefined;
      for (const kind of Object.keys(BOUND_KINDS) as BoundKind[]) {
        const ref = refOf(own[kind]);
        if (ref === undefined) continue;
        // A pod's token names the node too, for information only.
        if (kind !== "node" || isBoundToNodeOnly) {
          await mustExist(BOUND_KINDS[kind], kind === "node" ? "" : namespace, ref, kind);
        }
        if (kind === "secret") continue;
        extra[`authentication.kubernetes.io/${kind}-name`] = [ref.name];
        if (ref.uid !== "") extra[`authentication.kubernetes.io/${kind}-uid`] = [ref.uid];
      }
      return {
        user: serviceAccountUser(namespace, account.name, account.uid, extra),
        audiences,
        keepUntil: Math.min(clock.now() + VERDICT_TTL_MS, expires * 1000),
      };
    },
  };
}
