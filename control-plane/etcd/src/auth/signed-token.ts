import { constants, createHmac, sign, timingSafeEqual, verify, type KeyObject } from "node:crypto";
import type { SignMethod } from "./token-options.ts";

/** What a token says. */
export interface TokenClaims {
  readonly username: string;
  readonly revision: number;
  /** Seconds since 1970. */
  readonly exp: number;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Makes a JWT. */
export function signToken(method: SignMethod, key: KeyObject, claims: TokenClaims): string {
  const content = `${encode({ alg: method, typ: "JWT" })}.${encode(claims)}`;
  return `${content}.${signatureOf(method, key, Buffer.from(content)).toString("base64url")}`;
}

/** What a JWT says that was signed by this method and is still good; undefined for any other. */
export function readToken(method: SignMethod, key: KeyObject, token: string, nowMs: number): TokenClaims | undefined {
  const [head = "", body = "", signature = "", ...more] = token.split(".");
  if (more.length > 0) return undefined;
  // The method is never the token's choice.
  if (decode(head)?.["alg"] !== method) return undefined;
  if (!isSigned(method, key, Buffer.from(`${head}.${body}`), Buffer.from(signature, "base64url"))) return undefined;
  const { username, revision, exp, nbf } = decode(body) ?? {};
  if (typeof username !== "string" || typeof revision !== "number") return undefined;
  if (exp !== undefined && (typeof exp !== "number" || nowMs >= exp * 1_000)) return undefined;
  if (nbf !== undefined && (typeof nbf !== "number" || nowMs < nbf * 1_000)) return undefined;
  return { username, revision, exp: exp ?? Infinity };
}

function decode(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(Buffer.from(part, "base64url").toString()) as unknown;
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function signatureOf(method: SignMethod, key: KeyObject, content: Buffer): Buffer {
  if (method.startsWith("HS")) return createHmac(digestOf(method), key).update(content).digest();
  return sign(method === "EdDSA" ? null : digestOf(method), content, { key, ...paddingOf(method) });
}

function isSigned(method: SignMethod, key: KeyObject, content: Buffer, signature: Buffer): boolean {
  if (method.startsWith("HS")) {
    const expected = signatureOf(method, key, content);
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  return verify(method === "EdDSA" ? null : digestOf(method), content, { key, ...paddingOf(method) }, signature);
}

const digestOf = (method: SignMethod): string => `sha${method.slice(2)}`;

function paddingOf(method: SignMethod): {
  readonly padding?: number;
  readonly saltLength?: number;
  readonly dsaEncoding?: "ieee-p1363";
} {
  if (method.startsWith("PS")) {
    return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  }
  return method.startsWith("ES") ? { dsaEncoding: "ieee-p1363" } : {};
}
