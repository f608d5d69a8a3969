import { X509Certificate } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Peer } from "../server/exchange.ts";
import type { Authenticator } from "./authenticator.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

/** What was found out about a chain: until when it holds (epoch ms), or why it does not. */
export type ChainVerdict =
  | { readonly isTrusted: true; readonly validUntil: number }
  | { readonly isTrusted: false; readonly reason: string };

/** A set of trusted authorities. */
export interface Authorities {
  readonly pem: string;
  readonly roots: readonly X509Certificate[];
  /** Leaf first; the certificates after it may stand between it and an authority. */
  verify(chain: readonly X509Certificate[], now: number): ChainVerdict;
}

/** Where the authorities in force are to be had: they may change while the server runs. */
export type AuthoritiesSource = () => Authorities;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
/** Extended key usage: client authentication, any. */
const CLIENT_USAGES = new Set(["1.3.6.1.5.5.7.3.2", "2.5.29.37.0"]);
const MAX_DEPTH = 6;
const MAX_KNOWN = 4096;
const UNKNOWN_AUTHORITY = "x509: certificate signed by unknown authority";

const time = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, "Z");

function validityError(certificate: X509Certificate, now: number): string | undefined {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const text = "x509: certificate has expired or is not yet valid: current time";
  if (now < from) return `${text} ${time(now)} is before ${time(from)}`;
  if (now > to) return `${text} ${time(now)} is after ${time(to)}`;
  return undefined;
}

/** Certificates of a PEM bundle. Throws when there is none, or one is broken. */
export function parseCertificates(pem: string): X509Certificate[] {
  const texts = pem.match(CERTIFICATE) ?? [];
  if (texts.length === 0) throw new Error("data does not contain any valid RSA or ECDSA certificates");
  return texts.map((text) => new X509Certificate(text));
}

/** Authorities from a PEM bundle. Throws when it holds no certificate. */
export function parseAuthorities(pem: string): Authorities {
  const roots = parseCertificates(pem);
  const known = new Set(roots.map((root) => root.fingerprint256));
  const issuersIn = (candidates: readonly X509Certificate[], certificate: X509Certificate): X509Certificate[] =>
    candidates.filter(
      (issuer) => issuer !== certificate && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey),
    );
  const refused = (reason: string): ChainVerdict => ({ isTrusted: false, reason });

  /** Tries every way from the certificate up to an authority. */
  function climb(
    certificate: X509Certificate,
    between: readonly X509Certificate[],
    now: number,
    depth: number,
  ): ChainVerdict {
    const invalid = validityError(certificate, now);
    if (invalid !== undefined) return refused(invalid);
    const validUntil = Date.parse(certificate.validTo);
    if (known.has(certificate.fingerprint256)) return { isTrusted: true, validUntil };
    let failure = refused(UNKNOWN_AUTHORITY);
    for (const root of issuersIn(roots, certificate)) {
      const rootInvalid = validityError(root, now);
      if (rootInvalid === undefined) {
        return { isTrusted: true, validUntil: Math.min(validUntil, Date.parse(root.validTo)) };
      }
      failure = refused(rootInvalid);
    }
    if (depth >= MAX_DEPTH) return failure;
    for (const issuer of issuersIn(between, certificate)) {
      if (!issuer.ca) continue;
      const rest = between.filter((other) => other !== issuer);
      const verdict = climb(issuer, rest, now, depth + 1);
      if (verdict.isTrusted) return { isTrusted: true, validUntil: Math.min(validUntil, verdict.validUntil) };
      failure = verdict;
    }
    return failure;
  }

  return {
    pem,
    roots,
    verify(chain, now) {
      const leaf = chain[0];
      if (leaf === undefined) return refused(UNKNOWN_AUTHORITY);
      const verdict = climb(leaf, chain.slice(1, 1 + MAX_DEPTH), now, 0);
      if (!verdict.isTrusted) return verdict;
      const usages = leaf.keyUsage as readonly string[] | undefined;
      if (usages !== undefined && !usages.some((usage) => CLIENT_USAGES.has(usage))) {
        return refused("x509: certificate specifies an incompatible key usage");
      }
      return verdict;
    },
  };
}

/** Undoes the escapes of a distinguished name's printed form. */
function unescape(value: string): string {
  return value.replace(/\\([0-9A-Fa-f]{2}|.)/g, (_, escaped: string) =>
    escaped.length === 2 ? String.fromCharCode(Number.parseInt(escaped, 16)) : escaped,
  );
}

/** Common name and organizations of a certificate's subject. */
export function subjectOf(certificate: X509Certificate): { commonName: string; organizations: string[] } {
  let commonName = "";
  const organizations: string[] = [];
  // One attribute a line; several in one set are joined with "+", and a "+" inside a value is escaped.
  for (const line of certificate.subject.split("\n")) {
    for (const part of line.split(/(?<!\\)\+/)) {
      const mark = part.indexOf("=");
      const value = unescape(part.slice(mark + 1));
      const key = part.slice(0, mark).trim();
      if (key === "CN") commonName = value;
      else if (key === "O") organizations.push(value);
    }
  }
  return { commonName, organizations };
}

/** CN is the user, O the groups. The verdict is kept with the connection while the authorities stay the same. */
export function createCertificateAuthenticator(
  authorities: AuthoritiesSource,
  clock: Clock,
  onVerify: (remainingSeconds: number) => void = () => {},
): Authenticator {
  const byPeer = new WeakMap<Peer, { authorities: Authorities; user: UserInfo; validUntil: number }>();
  // Connections with one certificate share a user, and with it what authorisation remembers.
  const byFingerprint = new Map<string, UserInfo>();

  function userOf(leaf: X509Certificate): UserInfo | undefined {
    const known = byFingerprint.get(leaf.fingerprint256);
    if (known !== undefined) return known;
    const { commonName, organizations } = subjectOf(leaf);
    if (commonName === "") return undefined;
    const fingerprint = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
    const extra = { "authentication.kubernetes.io/credential-id": [`X509SHA256=${fingerprint}`] };
    const user = withAuthenticatedGroup({ name: commonName, groups: organizations, extra });
    if (byFingerprint.size >= MAX_KNOWN) byFingerprint.delete(byFingerprint.keys().next().value!);
    byFingerprint.set(leaf.fingerprint256, user);
    return user;
  }

  return {
    authenticate({ peer }) {
      const leaf = peer.certificates[0];
      if (leaf === undefined) return undefined;
      const trusted = authorities();
      const kept = byPeer.get(peer);
      const now = clock.now();
      if (kept !== undefined && kept.authorities === trusted && now <= kept.validUntil) return kept.user;
      onVerify((Date.parse(leaf.validTo) - now) / 1000);
      const verdict = trusted.verify(peer.certificates, now);
      if (!verdict.isTrusted) {
        throw new Error(`verifying certificate SN=${BigInt(`0x${leaf.serialNumber}`)} failed: ${verdict.reason}`);
      }
      const user = userOf(leaf);
      if (user !== undefined) byPeer.set(peer, { authorities: trusted, user, validUntil: verdict.validUntil });
      return user;
    },
  };
}
