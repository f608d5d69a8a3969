import { createPrivateKey, createPublicKey, X509Certificate, type KeyObject } from "node:crypto";

interface PemBlock {
  readonly type: string;
  readonly text: string;
}

/** The blocks of a PEM text; what is between them does not count. */
function pemBlocks(text: string): PemBlock[] {
  const pattern = /-----BEGIN ([^\n]*?)-----[ \t]*\r?\n([\s\S]*?)-----END \1-----/g;
  return [...text.matchAll(pattern)].map(([whole, type = ""]) => ({ type, text: whole }));
}

const isKeyType = (type: string): boolean => type === "PRIVATE KEY" || type.endsWith(" PRIVATE KEY");

function problemOfCertificate(types: readonly string[]): string {
  if (types.length === 0) return "tls: failed to find any PEM data in certificate input";
  if (types.length === 1 && isKeyType(types[0] ?? ""))
    return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched";
  return `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${types.join(" ")}]`;
}

function problemOfKey(types: readonly string[]): string {
  if (types.length === 0) return "tls: failed to find any PEM data in key input";
  if (types.length === 1 && types[0] === "CERTIFICATE")
    return "tls: found a certificate rather than a key in the PEM for the private key";
  return `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${types.join(" ")}]`;
}

function readOrUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    // Not what it says it is.
    return undefined;
  }
}

const derOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });

/** Why a server could not use the certificate with the key; none when it could. Says nothing of what they hold. */
export function warningsForKeyPair(certificatePem: string, keyPem: string): string[] {
  const blocks = pemBlocks(certificatePem);
  const certificateBlock = blocks.find(({ type }) => type === "CERTIFICATE");
  if (certificateBlock === undefined) return [problemOfCertificate(blocks.map(({ type }) => type))];
  const keyBlocks = pemBlocks(keyPem);
  const keyBlock = keyBlocks.find(({ type }) => isKeyType(type));
  if (keyBlock === undefined) return [problemOfKey(keyBlocks.map(({ type }) => type))];
  const certificate = readOrUndefined(() => new X509Certificate(certificateBlock.text));
  if (certificate === undefined) return ["x509: malformed certificate"];
  const key = readOrUndefined(() => createPrivateKey(keyBlock.text));
  if (key === undefined) return ["tls: failed to parse private key"];
  const { publicKey } = certificate;
  if (publicKey.asymmetricKeyType !== key.asymmetricKeyType)
    return ["tls: private key type does not match public key type"];
  return derOf(createPublicKey(key)).equals(derOf(publicKey)) ? [] : ["tls: private key does not match public key"];
}
