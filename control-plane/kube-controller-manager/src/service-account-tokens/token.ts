import { createHash, createPublicKey, sign, type KeyObject } from "node:crypto";
import type { Secret, ServiceAccount } from "@coracle/api/core/v1";

const PREFIX = "kubernetes.io/serviceaccount";
const ALGORITHMS: Readonly<Record<string, readonly [name: string, digest: string]>> = {
  prime256v1: ["ES256", "sha256"],
  secp384r1: ["ES384", "sha384"],
  secp521r1: ["ES512", "sha512"],
};

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token without an end: good while the secret that holds it and its service account are there. */
export function secretToken(key: KeyObject, account: ServiceAccount, secret: Secret): string {
  const { namespace, name, uid } = account.metadata;
  const publicKey = createPublicKey(key);
  const [alg, digest] = ALGORITHMS[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? ["RS256", "sha256"];
  const kid = createHash("sha256")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  const claims = {
    iss: "kubernetes/serviceaccount",
    [`${PREFIX}/namespace`]: namespace,
    [`${PREFIX}/secret.name`]: secret.metadata.name,
    [`${PREFIX}/service-account.name`]: name,
    [`${PREFIX}/service-account.uid`]: uid,
    sub: `system:serviceaccount:${namespace}:${name}`,
  };
  const head = `${encode({ alg, kid })}.${encode(claims)}`;
  const signature = sign(digest, Buffer.from(head), { key, dsaEncoding: "ieee-p1363" });
  return `${head}.${signature.toString("base64url")}`;
}
