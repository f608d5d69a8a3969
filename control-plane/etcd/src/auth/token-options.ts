import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { UsageError } from "@coracle/base";

/** How `--auth-token` wants tokens made: kept in memory, or signed. */
export type TokenOptions =
  | { readonly type: "simple" }
  | {
      readonly type: "jwt";
      readonly method: SignMethod;
      /** Absent: tokens of others are believed, and none are made. */
      readonly signingKey: KeyObject | undefined;
      readonly verifyingKey: KeyObject;
      readonly ttlMs: number;
    };

const KINDS = { RS: "rsa", PS: "rsa", ES: "ec", HS: "secret", Ed: "ed25519" } as const;
const METHODS = ["256", "384", "512"].flatMap((bits) => [`RS${bits}`, `PS${bits}`, `ES${bits}`, `HS${bits}`]);
/** Curves, as the methods prescribe them. */
const CURVES: Readonly<Record<string, string>> = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" };

/** A method of the JWT standard: RS256, PS512, ES384, HS256, EdDSA… */
export type SignMethod = string;

const DEFAULT_TTL_MS = 300_000;
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Reads `simple`, or `jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=10m`. Throws UsageError with etcd's words. */
export function parseTokenOptions(text: string, readFile: (path: string) => Buffer): TokenOptions {
  const [type = "", ...pairs] = text.split(",");
  const options = new Map<string, string>();
  for (const pair of pairs) {
    const [name = "", value, ...more] = pair.split("=");
    if (value === undefined || more.length > 0 || options.has(name)) throw invalid("auth: invalid auth options");
    options.set(name, value);
  }
  if (type === "simple") return { type };
  if (type !== "jwt") throw invalid("auth: invalid auth options");
  const method = options.get("sign-method") ?? "";
  if (!METHODS.includes(method) && method !== "EdDSA") throw invalid("auth: invalid auth options");
  const read = (name: string): Buffer | undefined => {
    const path = options.get(name) ?? "";
    return path === "" ? undefined : readFile(path);
  };
  return { type, method, ttlMs: ttlOf(options.get("ttl") ?? ""), ...keysOf(method, read("priv-key"), read("pub-key")) };
}

function keysOf(
  method: SignMethod,
  privateBytes: Buffer | undefined,
  publicBytes: Buffer | undefined,
): { readonly signingKey: KeyObject | undefined; readonly verifyingKey: KeyObject } {
  const kind = KINDS[method.slice(0, 2) as keyof typeof KINDS];
  if (kind === "secret") {
    if (privateBytes === undefined || privateBytes.length === 0) throw invalid("auth: missing key data");
    const key = createSecretKey(privateBytes);
    return { signingKey: key, verifyingKey: key };
  }
  const signingKey = privateBytes === undefined ? undefined : parsed(() => createPrivateKey(privateBytes));
  const publicKey = publicBytes === undefined ? undefined : parsed(() => createPublicKey(publicBytes));
  const verifyingKey = signingKey === undefined ? publicKey : createPublicKey(signingKey);
  if (verifyingKey === undefined) throw invalid("auth: missing key data");
  if (publicKey !== undefined && !publicKey.equals(verifyingKey)) {
    throw invalid("auth: public and private keys don't match");
  }
  const curve = CURVES[method];
  const isFit =
    verifyingKey.asymmetricKeyType === kind &&
    (curve === undefined || verifyingKey.asymmetricKeyDetails?.namedCurve === curve);
  if (!isFit) throw invalid(`the key does not fit the sign-method ${method}`);
  return { signingKey, verifyingKey };
}

function parsed(parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch {
    throw invalid("a key of it cannot be read: want PEM");
  }
}

function ttlOf(text: string): number {
  if (text === "") return DEFAULT_TTL_MS;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw invalid("auth: invalid auth options");
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
    .map(([, amount, unit = ""]) => Number(amount) * (UNITS_MS[unit] ?? 0))
    .reduce((sum, each) => sum + each, 0);
}

const invalid = (reason: string): UsageError => new UsageError(`auth-token: ${reason}`);
