import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { isObject } from "@coracle/apimachinery";

/** A key with what tokens say about it. */
export interface TokenKey {
  readonly key: KeyObject;
  /** base64url of the SHA-256 of the public key's DER. */
  readonly id: string;
  readonly algorithm: "RS256" | "ES256" | "ES384" | "ES512";
}

const PEM = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g;
const CURVES: Readonly<Record<string, "ES256" | "ES384" | "ES512">> = {
  prime256v1: "ES256",
  secp384r1: "ES384",
  secp521r1: "ES512",
};
const DIGESTS = { RS256: "sha256", ES256: "sha256", ES384: "sha384", ES512: "sha512" } as const;

function tokenKey(key: KeyObject, publicKey: KeyObject): TokenKey {
  const der = publicKey.export({ type: "spki", format: "der" });
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? "";
  const algorithm = publicKey.asymmetricKeyType === "rsa" ? "RS256" : CURVES[curve];
  if (algorithm === undefined) throw new Error("a service account key must be RSA or ECDSA (P-256, P-384, P-521)");
  return { key, id: createHash("sha256").update(der).digest("base64url"), algorithm };
}

/** The signing key in `pem`. */
export function parseSigningKey(pem: string): TokenKey {
  const key = createPrivateKey(pem);
  return tokenKey(key, createPublicKey(key));
}

/** Every key in `pem`: public keys, certificates, and the public halves of private keys. */
export function parseVerificationKeys(pem: string): TokenKey[] {
  return [...pem.matchAll(PEM)].map(([text]) => {
    const key = createPublicKey(text);
    return tokenKey(key, key);
  });
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Compact JWS of `claims`. */
export function signToken(key: TokenKey, claims: Readonly<Record<string, unknown>>): string {
  const head = `${encode({ alg: key.algorithm, kid: key.id })}.${encode(claims)}`;
  const signature = sign(DIGESTS[key.algorithm], Buffer.from(head), { key: key.key, dsaEncoding: "ieee-p1363" });
  return `${head}.${signature.toString("base64url")}`;
}

export interface ParsedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

const BASE64URL = /^[A-Za-z0-9_-]+$/;

function parsePart(part: string): Readonly<Record<string, unknown>> | undefined {
  if (!BASE64URL.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a compact token without believing it; undefined when it is none. */
export function parseToken(token: string): ParsedToken | undefined {
  const parts = token.split(".");
  if (parts.length !== 3 || !BASE64URL.test(parts[2]!)) return undefined;
  const claims = parsePart(parts[1]!);
  const header = claims === undefined ? undefined : parsePart(parts[0]!);
  return header === undefined || claims === undefined ? undefined : { header, claims };
}

/** What a claim holds when it is text, `""` otherwise. */
export function textClaim(claims: ParsedToken["claims"], name: string): string {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  return typeof value === "string" ? value : "";
}

/** The token's audiences: one text or a list of them. */
export function audiencesOf(claims: ParsedToken["claims"]): readonly string[] {
  const { aud } = claims;
  if (typeof aud === "string") return [aud];
  return Array.isArray(aud) ? aud.filter((item) => typeof item === "string") : [];
}

/** A signature in two halves: what is signed, and by what bytes. */
export function signedParts(token: string): { readonly signed: Buffer; readonly signature: Buffer } {
  const end = token.lastIndexOf(".");
  return { signed: Buffer.from(token.slice(0, end)), signature: Buffer.from(token.slice(end + 1), "base64url") };
}

/**
 * Checks that one of the keys made the token's signature; a token that names its key is checked with that one alone.
 * The algorithm is the key's own, never the token's choice. Throws otherwise.
 */
export function checkSignature(token: string, header: ParsedToken["header"], keys: readonly TokenKey[]): void {
  const kid = textClaim(header, "kid");
  const candidates = kid === "" ? keys : keys.filter((key) => key.id === kid);
  if (candidates.length === 0) throw new Error("invalid signature, no keys found");
  const { signed, signature } = signedParts(token);
  const isSigned = candidates.some(
    (key) =>
      key.algorithm === header["alg"] &&
      verify(DIGESTS[key.algorithm], signed, { key: key.key, dsaEncoding: "ieee-p1363" }, signature),
  );
  if (!isSigned) throw new Error("go-jose/go-jose: error in cryptographic primitive");
}
