import { generateKeyPairSync, scryptSync, type KeyObject } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hashPassword, isPassword } from "./password.ts";
import { readToken, signToken } from "./signed-token.ts";
import { parseTokenOptions, type TokenOptions } from "./token-options.ts";

const pem = (key: KeyObject): Buffer =>
  Buffer.from(key.export({ type: key.type === "private" ? "pkcs8" : "spki", format: "pem" }));
const pair = (keys: { privateKey: KeyObject; publicKey: KeyObject }): { priv: Buffer; pub: Buffer } => ({
  priv: pem(keys.privateKey),
  pub: pem(keys.publicKey),
});
const rsa = pair(generateKeyPairSync("rsa", { modulusLength: 2048 }));
const p256 = pair(generateKeyPairSync("ec", { namedCurve: "prime256v1" }));
const p384 = pair(generateKeyPairSync("ec", { namedCurve: "secp384r1" }));
const p521 = pair(generateKeyPairSync("ec", { namedCurve: "secp521r1" }));
const ed = pair(generateKeyPairSync("ed25519"));
const secret = { priv: Buffer.from("much too secret to tell anybody"), pub: Buffer.alloc(0) };

const FILES: Readonly<Record<string, { priv: Buffer; pub: Buffer }>> = { rsa, p256, p384, p521, ed, secret };
const parse = (text: string): TokenOptions =>
  parseTokenOptions(text, (path) => {
    const [name = "", half] = path.split(".");
    return (half === "priv" ? FILES[name]?.priv : FILES[name]?.pub) as Buffer;
  });
const jwt = (text: string): TokenOptions & { type: "jwt" } => {
  const options = parse(text);
  if (options.type !== "jwt") throw new Error("simple");
  return options;
};
const NOW = 1_700_000_000_000;
const CLAIMS = { username: "root", revision: 7, exp: NOW / 1_000 + 60 };

describe("--auth-token", () => {
  it.each([
    ["RS256", "rsa"],
    ["RS384", "rsa"],
    ["RS512", "rsa"],
    ["PS256", "rsa"],
    ["PS384", "rsa"],
    ["PS512", "rsa"],
    ["ES256", "p256"],
    ["ES384", "p384"],
    ["ES512", "p521"],
    ["EdDSA", "ed"],
    ["HS256", "secret"],
    ["HS384", "secret"],
    ["HS512", "secret"],
  ])("%s: what is signed is read again, by this method only, as it is, and until it ends", (method, key) => {
    const both = jwt(`jwt,sign-method=${method},priv-key=${key}.priv,ttl=10m`);
    expect(both.ttlMs).toBe(600_000);
    const token = signToken(method, both.signingKey!, CLAIMS);
    const read = (text: string, now = NOW): unknown => readToken(method, both.verifyingKey, text, now);
    expect(read(token)).toEqual(CLAIMS);
    expect(read(token, NOW + 60_000)).toBeUndefined();
    const [head = "", body = "", signature = ""] = token.split(".");
    const other = Buffer.from(JSON.stringify({ ...CLAIMS, username: "alice" })).toString("base64url");
    expect(read(`${head}.${other}.${signature}`)).toBeUndefined();
    expect(read(`${head}.${body}.`)).toBeUndefined();
    const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
    expect(read(`${none}.${body}.`)).toBeUndefined();
    if (key !== "secret") {
      const verifying = jwt(`jwt,sign-method=${method},pub-key=${key}.pub`);
      expect(verifying.signingKey).toBeUndefined();
      expect(readToken(method, verifying.verifyingKey, token, NOW)).toEqual(CLAIMS);
      // The public key is no secret to sign with.
      const hmac = parseTokenOptions(`jwt,sign-method=HS256,priv-key=x`, () => FILES[key]!.pub);
      if (hmac.type === "jwt") expect(read(signToken("HS256", hmac.signingKey!, CLAIMS))).toBeUndefined();
    }
  });

  it.each([
    ["jwt", "auth-token: auth: invalid auth options"],
    ["jwt,sign-method=none", "auth-token: auth: invalid auth options"],
    ["jwt,sign-method=RS256", "auth-token: auth: missing key data"],
    ["jwt,sign-method=HS256,pub-key=rsa.pub", "auth-token: auth: missing key data"],
    ["jwt,sign-method=RS256,priv-key=rsa.priv,priv-key=rsa.priv", "auth-token: auth: invalid auth options"],
    ["jwt,sign-method=RS256,priv-key=rsa.priv,ttl=soon", "auth-token: auth: invalid auth options"],
    [
      "jwt,sign-method=ES256,priv-key=p256.priv,pub-key=p384.pub",
      "auth-token: auth: public and private keys don't match",
    ],
    ["jwt,sign-method=ES256,priv-key=p384.priv", "auth-token: the key does not fit the sign-method ES256"],
    ["jwt,sign-method=RS256,priv-key=p384.priv", "auth-token: the key does not fit the sign-method RS256"],
    ["jwt,sign-method=RS256,priv-key=secret.priv", "auth-token: a key of it cannot be read: want PEM"],
    ["complicated", "auth-token: auth: invalid auth options"],
  ])("%s is refused", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});

describe("passwords", () => {
  it("are hashed as etcd does, and checked", async () => {
    const hash = await hashPassword("secret", 4);
    expect(hash).toMatch(/^\$2a\$04\$/);
    expect(await isPassword("secret", hash)).toBe(true);
    expect(await isPassword("Secret", hash)).toBe(false);
    await expect(hashPassword("x".repeat(73), 4)).rejects.toThrow("bcrypt: password length exceeds 72 bytes");
  });

  it("of an older version of ours are still good", async () => {
    const salt = Buffer.from("salt");
    const hash = `scrypt$${salt.toString("base64")}$${scryptSync("secret", salt, 32).toString("base64")}`;
    expect(await isPassword("secret", hash)).toBe(true);
    expect(await isPassword("wrong", hash)).toBe(false);
  });
});
