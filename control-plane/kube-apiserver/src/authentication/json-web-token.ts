import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";

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

/** Reads a token without believing it; undefined when it is no JWT. */
export function parseToken(token: string): ParsedToken | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const header: unknown = JSON.parse(Buffer.from(parts[0]!, "base64url").toString("utf8"));
    const claims: unknown = JSON.parse(Buffer.from(parts[1]!, "base64url").toString("utf8"));
    if (typeof header !== "object" || header === null || typeof claims !== "object" || claims === null)
      return undefined;
    return { header: header as Record<string, unknown>, claims: claims as Record<string, unknown> };
  } catch {
    return undefined;
  }
}

/** Whether one of the keys made the token's signature. */
export function hasValidSignature(token: string, header: ParsedToken["header"], keys: readonly TokenKey[]): boolean {
  const end = token.lastIndexOf(".");
  const signed = Buffer.from(token.slice(0, end));
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  return keys.some(
    (key) =>
      key.algorithm === header["alg"] &&
      (header["kid"] === undefined || header["kid"] === key.id) &&
      verify(DIGESTS[key.algorithm], signed, { key: key.key, dsaEncoding: "ieee-p1363" }, signature),
  );
}
