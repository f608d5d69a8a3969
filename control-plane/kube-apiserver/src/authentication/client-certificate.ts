import { X509Certificate } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Peer } from "../server/exchange.ts";
import type { Authenticator } from "./authenticator.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";

/** A set of trusted authorities. */
export interface Authorities {
  /** Leaf first. Undefined when the chain leads to none of them; else until when it holds (epoch ms). */
  verify(chain: readonly X509Certificate[], now: number): { readonly validUntil: number } | undefined;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
/** Extended key usage: client authentication, any. */
const CLIENT_USAGES = new Set(["1.3.6.1.5.5.7.3.2", "2.5.29.37.0"]);
const MAX_DEPTH = 6;

/** Authorities from a PEM bundle. */
export function parseAuthorities(pem: string): Authorities {
  const roots = (pem.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
  const issuerIn = (
    candidates: readonly X509Certificate[],
    certificate: X509Certificate,
  ): X509Certificate | undefined =>
    candidates.find((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey));
  return {
    verify(chain, now) {
      const leaf = chain[0];
      if (leaf === undefined) return undefined;
      const usages = leaf.keyUsage as readonly string[] | undefined;
      if (usages !== undefined && !usages.some((usage) => CLIENT_USAGES.has(usage))) return undefined;
      let validUntil = Infinity;
      let certificate = leaf;
      for (let depth = 0; depth < MAX_DEPTH; depth++) {
        const notAfter = Date.parse(certificate.validTo);
        if (now < Date.parse(certificate.validFrom) || now > notAfter) return undefined;
        validUntil = Math.min(validUntil, notAfter);
        if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256)) return { validUntil };
        const root = issuerIn(roots, certificate);
        if (root !== undefined) {
          const rootEnd = Date.parse(root.validTo);
          return now > rootEnd ? undefined : { validUntil: Math.min(validUntil, rootEnd) };
        }
        const next = issuerIn(chain, certificate);
        if (next === undefined || next === certificate || !next.ca) return undefined;
        certificate = next;
      }
      return undefined;
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

/** CN is the user, O the groups. The verdict is kept with the connection. */
export function createCertificateAuthenticator(authorities: Authorities, clock: Clock): Authenticator {
  const known = new WeakMap<Peer, { readonly user: UserInfo; readonly validUntil: number }>();
  return {
    authenticate({ peer }) {
      const leaf = peer.certificates[0];
      if (leaf === undefined) return undefined;
      const kept = known.get(peer);
      const now = clock.now();
      if (kept !== undefined && now <= kept.validUntil) return kept.user;
      const verdict = authorities.verify(peer.certificates, now);
      if (verdict === undefined) throw new Error("x509: the client certificate is not valid");
      const { commonName, organizations } = subjectOf(leaf);
      if (commonName === "") return undefined;
      const user = withAuthenticatedGroup({
        name: commonName,
        groups: organizations,
        extra: {
          "authentication.kubernetes.io/credential-id": [
            `X509SHA256=${leaf.fingerprint256.replaceAll(":", "").toLowerCase()}`,
          ],
        },
      });
      known.set(peer, { user, validUntil: verdict.validUntil });
      return user;
    },
  };
}
