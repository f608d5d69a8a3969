import { isObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { RegistryReader, ResourceRef } from "../registry/registry-reader.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import { hasValidSignature, parseToken, type TokenKey } from "./json-web-token.ts";
import { serviceAccountUser } from "./user.ts";

const core = (plural: string): ResourceRef => ({ group: "", version: "v1", plural });
const ISSUER = "kubernetes/serviceaccount";
const PREFIX = "kubernetes.io/serviceaccount";
const VERDICT_TTL_MS = 10_000;

/** Verifies tokens without an end, as secrets of type service-account-token hold them: good while both are there. */
export function createSecretTokenAuthenticator(options: {
  readonly keys: readonly TokenKey[];
  readonly apiAudiences: readonly string[];
  readonly objects: RegistryReader;
  readonly clock: Clock;
}): TokenAuthenticator {
  const { keys, objects, clock } = options;
  return {
    async authenticateToken(token, wanted = options.apiAudiences) {
      const parsed = parseToken(token);
      if (parsed === undefined || parsed.claims["iss"] !== ISSUER) return undefined;
      if (!hasValidSignature(token, parsed.header, keys)) throw new Error("invalid bearer token");
      const claim = (name: string): string => {
        const value = parsed.claims[`${PREFIX}/${name}`];
        return typeof value === "string" ? value : "";
      };
      const [namespace, name, uid] = [claim("namespace"), claim("service-account.name"), claim("service-account.uid")];
      if (parsed.claims["sub"] !== `system:serviceaccount:${namespace}:${name}`)
        throw new Error("sub claim is invalid");
      const secret = await objects.get(core("secrets"), namespace, claim("secret.name"));
      if (secret?.metadata["deletionTimestamp"] !== undefined || secret === undefined)
        throw new Error("service account token has been invalidated");
      const data = (secret as unknown as { readonly data?: unknown }).data;
      const held = isObject(data) ? data["token"] : undefined;
      const text = typeof held === "string" ? Buffer.from(held, "base64") : held;
      if (!(text instanceof Uint8Array) || !Buffer.from(text).equals(Buffer.from(token)))
        throw new Error("service account token does not match server's copy");
      const account = await objects.get(core("serviceaccounts"), namespace, name);
      if (account === undefined || account.metadata["deletionTimestamp"] !== undefined)
        throw new Error(`service account ${namespace}/${name} has been deleted`);
      if (account.metadata["uid"] !== uid) throw new Error(`service account UID (${uid}) does not match claim`);
      const audiences = options.apiAudiences.filter((audience) => wanted.includes(audience));
      if (audiences.length === 0) throw new Error("the token is not for this audience");
      const user = serviceAccountUser(namespace, name, uid, {});
      return { user, audiences, keepUntil: clock.now() + VERDICT_TTL_MS };
    },
  };
}
