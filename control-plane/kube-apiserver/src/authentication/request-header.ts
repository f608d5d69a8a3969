import type { Clock } from "@coracle/base";
import type { X509Certificate } from "node:crypto";
import type { Exchange, Peer } from "../server/exchange.ts";
import type { Authenticator } from "./authenticator.ts";
import type { Authorities, AuthoritiesSource } from "./client-certificate.ts";
import { withAuthenticatedGroup, type UserInfo } from "./user.ts";
import { subjectOf } from "./client-certificate.ts";

export interface RequestHeaderOptions {
  readonly authorities: AuthoritiesSource;
  /** Empty: any name the authority vouches for. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
  readonly clock: Clock;
}

/** All values of a header, which may have been sent several times. */
export function headerValues(exchange: Exchange, name: string): string[] {
  if (exchange.headerValues !== undefined) return [...exchange.headerValues(name.toLowerCase())];
  const value = exchange.headers()[name.toLowerCase()];
  if (value === undefined) return [];
  // Node joins repeated headers of unknown name with ", ".
  return typeof value === "string" ? value.split(", ") : [...value];
}

/** Headers that begin with one of the prefixes, by the rest of their names (percent-decoded). */
export function extraFromHeaders(exchange: Exchange, prefixes: readonly string[]): Record<string, string[]> {
  const extra = new Map<string, string[]>();
  for (const name of Object.keys(exchange.headers())) {
    for (const prefix of prefixes) {
      if (!name.startsWith(prefix.toLowerCase())) continue;
      let key = name.slice(prefix.length);
      try {
        key = decodeURIComponent(key);
      } catch {
        // kept as it is
      }
      extra.set(key, [...(extra.get(key) ?? []), ...headerValues(exchange, name)]);
    }
  }
  return Object.fromEntries(extra);
}

/** A trusted proxy says in headers for whom it asks. */
export function createRequestHeaderAuthenticator(options: RequestHeaderOptions): Authenticator {
  const first = (exchange: Exchange, names: readonly string[]): string => {
    for (const name of names) {
      const value = exchange.header(name.toLowerCase());
      if (value !== undefined && value !== "") return value;
    }
    return "";
  };
  const trustedPeers = new WeakMap<Peer, { readonly authorities: Authorities; readonly validUntil: number }>();

  /** Throws unless the peer may speak for others. What was found out is kept with the connection. */
  function checkPeer(peer: Peer, leaf: X509Certificate): void {
    const authorities = options.authorities();
    const now = options.clock.now();
    const kept = trustedPeers.get(peer);
    if (kept !== undefined && kept.authorities === authorities && now <= kept.validUntil) return;
    const verdict = authorities.verify(peer.certificates, now);
    if (!verdict.isTrusted) throw new Error(verdict.reason);
    const { commonName } = subjectOf(leaf);
    if (options.allowedNames.length > 0 && !options.allowedNames.includes(commonName)) {
      throw new Error(`x509: subject with cn=${commonName} is not in the allowed list`);
    }
    trustedPeers.set(peer, { authorities, validUntil: verdict.validUntil });
  }

  return {
    authenticate(exchange): UserInfo | undefined {
      const leaf = exchange.peer.certificates[0];
      if (leaf === undefined) return undefined;
      const name = first(exchange, options.usernameHeaders);
      if (name === "") return undefined;
      checkPeer(exchange.peer, leaf);
      const uid = first(exchange, options.uidHeaders);
      const extra = extraFromHeaders(exchange, options.extraHeaderPrefixes);
      return withAuthenticatedGroup({
        name,
        groups: options.groupHeaders.flatMap((header) => headerValues(exchange, header)),
        ...(uid === "" ? {} : { uid }),
        ...(Object.keys(extra).length === 0 ? {} : { extra }),
      });
    },
  };
}
