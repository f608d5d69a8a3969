import { createHmac } from "node:crypto";
import type { ConfigMap, Secret } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { instantOf } from "../time/timestamp.ts";

/** Of the secrets that are bootstrap tokens. */
export const TOKEN_TYPE = "bootstrap.kubernetes.io/token";
/** Only these secrets are watched and kept. */
export const TOKENS = { namespace: "kube-system", fieldSelector: `type=${TOKEN_TYPE}` };

const NAME = /^bootstrap-token-([a-z0-9]{6})$/;
const SIGNATURE = "jws-kubeconfig-";

const dataOf = ({ data }: Secret, key: string): string => Buffer.from(data?.[key] ?? "", "base64").toString("utf8");

/** Milliseconds until a token expires, 0 when it has; undefined: it never does. An expiration nobody can read has passed. */
export function msUntilExpired(secret: Secret, now: Instant): number | undefined {
  const text = dataOf(secret, "expiration");
  if (text === "") return undefined;
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) ? instantOf(text) : undefined;
  return at === undefined ? 0 : Math.max(0, at - now);
}

/** The tokens that may sign, by their ids. */
export function signingTokens(secrets: readonly Secret[], now: Instant): ReadonlyMap<string, string> {
  const tokens = new Map<string, string>();
  for (const secret of secrets) {
    const id = dataOf(secret, "token-id");
    const value = dataOf(secret, "token-secret");
    if (secret.type !== TOKEN_TYPE || id === "" || value === "") continue;
    if (NAME.exec(secret.metadata.name ?? "")?.[1] !== id || tokens.has(id)) continue;
    if (msUntilExpired(secret, now) === 0 || dataOf(secret, "usage-bootstrap-signing") !== "true") continue;
    tokens.set(id, value);
  }
  return tokens;
}

const base64url = (text: string): string => Buffer.from(text, "utf8").toString("base64url");

/** A JWS over `content` without the content: whoever knows the token can tell that it is genuine. */
export function detachedSignature(content: string, id: string, secret: string): string {
  const header = base64url(JSON.stringify({ alg: "HS256", kid: id }));
  const signature = createHmac("sha256", secret)
    .update(`${header}.${base64url(content)}`)
    .digest("base64url");
  return `${header}..${signature}`;
}

/** The data of cluster-info with one signature a token; undefined when nothing is to be changed. */
export function signedData({ data = {} }: ConfigMap, tokens: ReadonlyMap<string, string>): ConfigMap["data"] {
  const { kubeconfig } = data;
  if (kubeconfig === undefined) return undefined;
  const signed: Record<string, string> = {};
  for (const [key, value] of Object.entries(data)) if (!key.startsWith(SIGNATURE)) signed[key] = value;
  for (const [id, secret] of tokens) signed[`${SIGNATURE}${id}`] = detachedSignature(kubeconfig, id, secret);
  const names = Object.keys(signed);
  const isSame = names.length === Object.keys(data).length && names.every((name) => signed[name] === data[name]);
  return isSame ? undefined : signed;
}
