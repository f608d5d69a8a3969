import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { isIP } from "node:net";
import * as der from "./der.ts";

/** Who a certificate speaks for: in Kubernetes the user name and the groups. */
export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

export type CertificateUsage = "ca" | "client" | "server";

/** A certificate and its private key, both PEM. */
export interface CertifiedKey {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  readonly subject: Subject;
  readonly usages: readonly CertificateUsage[];
  /** DNS names and IP addresses a server answers for. */
  readonly names?: readonly string[];
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

const OID = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectAltName: "2.5.29.17",
  subjectKeyId: "2.5.29.14",
  authorityKeyId: "2.5.29.35",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

const attribute = (oid: string, value: string): Buffer =>
  der.set(der.sequence(der.objectIdentifier(oid), der.utf8String(value)));

function nameOf(subject: Subject): Buffer {
  return der.sequence(
    ...(subject.organizations ?? []).map((organization) => attribute(OID.organization, organization)),
    attribute(OID.commonName, subject.commonName),
  );
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return der.sequence(der.objectIdentifier(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value));
}

/** The 16 bytes of an IPv6 address, or the 4 of an IPv4 one. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("::");
  const groups = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").flatMap((group) => {
          if (!group.includes(".")) return [parseInt(group, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
          return [a * 256 + b, c * 256 + d];
        });
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function alternativeName(name: string): Buffer {
  return isIP(name) === 0 ? der.tagged(0x82, Buffer.from(name, "ascii")) : der.tagged(0x87, addressBytes(name));
}

/** Key identifier: SHA-1 of the public key's bits (RFC 5280, 4.2.1.2, method 1 over the whole key info). */
const keyId = (publicKey: KeyObject): Buffer =>
  createHash("sha1")
    .update(publicKey.export({ type: "spki", format: "der" }))
    .digest();

function extensionsOf(request: CertificateRequest, publicKey: KeyObject, issuerKey: KeyObject): Buffer {
  const isCa = request.usages.includes("ca");
  // Bits of KeyUsage: digitalSignature 0x80, keyEncipherment 0x20, keyCertSign 0x04, cRLSign 0x02.
  const keyUsage = isCa ? Buffer.from([0x80 | 0x20 | 0x04]) : Buffer.from([0x80 | 0x20]);
  const purposes = [
    ...(request.usages.includes("server") ? [der.objectIdentifier(OID.serverAuth)] : []),
    ...(request.usages.includes("client") ? [der.objectIdentifier(OID.clientAuth)] : []),
  ];
  return der.sequence(
    extension(OID.basicConstraints, true, der.sequence(...(isCa ? [der.boolean(true)] : []))),
    extension(OID.keyUsage, true, der.bitString(keyUsage, isCa ? 2 : 5)),
    ...(purposes.length === 0 ? [] : [extension(OID.extendedKeyUsage, false, der.sequence(...purposes))]),
    ...(request.names === undefined || request.names.length === 0
      ? []
      : [extension(OID.subjectAltName, false, der.sequence(...request.names.map(alternativeName)))]),
    extension(OID.subjectKeyId, false, der.octetString(keyId(publicKey))),
    extension(OID.authorityKeyId, false, der.sequence(der.tagged(0x80, keyId(createPublicKey(issuerKey))))),
  );
}

const pem = (label: string, content: Buffer): string =>
  `-----BEGIN ${label}-----\n${content.toString("base64").replace(/.{64}/g, "$&\n").trimEnd()}\n-----END ${label}-----\n`;

function signedCertificate(
  request: CertificateRequest,
  publicKey: KeyObject,
  issuer: { readonly name: Buffer; readonly key: KeyObject },
): string {
  const serial = randomBytes(16);
  serial[0] = (serial[0] ?? 0) & 0x7f;
  const algorithm =
    issuer.key.asymmetricKeyType === "rsa"
      ? der.sequence(der.objectIdentifier(OID.sha256WithRsa), der.tagged(0x05))
      : der.sequence(der.objectIdentifier(OID.ecdsaWithSha256));
  const body = der.sequence(
    der.tagged(0xa0, der.unsignedInteger(Buffer.from([2]))),
    der.unsignedInteger(serial),
    algorithm,
    issuer.name,
    der.sequence(der.time(request.notBefore), der.time(request.notAfter)),
    nameOf(request.subject),
    publicKey.export({ type: "spki", format: "der" }),
    der.tagged(0xa3, extensionsOf(request, publicKey, issuer.key)),
  );
  return pem("CERTIFICATE", der.sequence(body, algorithm, der.bitString(sign("sha256", body, issuer.key))));
}

const newKey = (): { publicKey: KeyObject; privateKey: KeyObject } =>
  generateKeyPairSync("ec", { namedCurve: "P-256" });
const keyPem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** An authority that signs certificates. Keep its `key` secret. */
export interface CertificateAuthority extends CertifiedKey {
  /** A new key and a certificate for it. */
  issue(request: CertificateRequest): CertifiedKey;
  /** A certificate for somebody else's public key. */
  sign(request: CertificateRequest, publicKey: KeyObject): string;
}

/** Creates a self-signed authority. */
export function createAuthority(request: Omit<CertificateRequest, "usages" | "names">): CertificateAuthority {
  const { publicKey, privateKey } = newKey();
  const name = nameOf(request.subject);
  const cert = signedCertificate({ ...request, usages: ["ca"] }, publicKey, { name, key: privateKey });
  return authority({ cert, key: keyPem(privateKey) }, name, privateKey);
}

/** Loads an authority that was created here or elsewhere. */
export function loadAuthority(pair: CertifiedKey, privateKey: KeyObject): CertificateAuthority {
  return authority(pair, subjectBytes(new X509Certificate(pair.cert).raw), privateKey);
}

function authority(pair: CertifiedKey, name: Buffer, key: KeyObject): CertificateAuthority {
  return {
    ...pair,
    issue(request) {
      const { publicKey, privateKey } = newKey();
      return { cert: signedCertificate(request, publicKey, { name, key }), key: keyPem(privateKey) };
    },
    sign: (request, publicKey) => signedCertificate(request, publicKey, { name, key }),
  };
}

/** The encoded subject of a DER certificate, byte for byte: issuers of its children must equal it. */
function subjectBytes(certificate: Buffer): Buffer {
  const header = (at: number): { start: number; end: number } => {
    const first = certificate[at + 1] ?? 0;
    if (first < 0x80) return { start: at + 2, end: at + 2 + first };
    const count = first & 0x7f;
    const size = certificate.readUIntBE(at + 2, count);
    return { start: at + 2 + count, end: at + 2 + count + size };
  };
  // Certificate → TBSCertificate → [0] version, serial, algorithm, issuer, validity, subject.
  let at = header(header(0).start).start;
  if (certificate[at] === 0xa0) at = header(at).end;
  for (let skipped = 0; skipped < 4; skipped++) at = header(at).end;
  return certificate.subarray(at, header(at).end);
}
