import { createHash } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Exchange, Peer } from "../server/exchange.ts";
import {
  joinErrors,
  keepNotes,
  type Authenticator,
  type TokenAuthenticator,
  type TokenVerdict,
} from "./authenticator.ts";
import type { UserInfo } from "./user.ts";

const MAX_KEPT = 4096;
const PROTOCOL_PREFIX = "base64url.bearer.authorization.k8s.io.";

/** Asks each in turn; when none accepts, all that failed say why. */
export function tokenUnion(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    async authenticateToken(token, audiences) {
      const failures: unknown[] = [];
      for (const authenticator of authenticators) {
        try {
          const verdict = await authenticator.authenticateToken(token, audiences);
          if (verdict !== undefined) return verdict;
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw joinErrors(failures);
      return undefined;
    },
  };
}

/** The token that a browser's WebSocket carries as one of its subprotocols, for it cannot set headers. */
function tokenOfWebSocket(exchange: Exchange): string | undefined {
  const protocols =
    exchange.upgrade?.protocol.toLowerCase() === "websocket" ? exchange.header("sec-websocket-protocol") : undefined;
  if (protocols === undefined || !protocols.includes(PROTOCOL_PREFIX)) return undefined;
  const list = protocols.split(",").map((protocol) => protocol.trim());
  const found = list.filter((protocol) => protocol.startsWith(PROTOCOL_PREFIX));
  if (found.length > 1) throw new Error("multiple base64.bearer.authorization tokens specified");
  const encoded = found[0]!.slice(PROTOCOL_PREFIX.length);
  if (encoded === "" || !/^[A-Za-z0-9_-]+$/.test(encoded))
    throw new Error("invalid base64.bearer.authorization token encoding");
  // The token must not be the subprotocol that is agreed upon.
  if (list.length === 1) throw new Error("missing additional subprotocol");
  return Buffer.from(encoded, "base64url").toString("utf8");
}

function tokenOf(exchange: Exchange): string | undefined {
  const header = exchange.header("authorization");
  if (header === undefined || header.length < 8 || header.slice(0, 7).toLowerCase() !== "bearer ") {
    return exchange.upgrade === undefined ? undefined : tokenOfWebSocket(exchange);
  }
  const token = header.slice(7).trim();
  return token === "" ? undefined : token;
}

/** The last token of each connection: most have but one, and a hash for each request would be a tenth of a GET. */
const lastOf = new WeakMap<Peer, { readonly token: string; readonly key: string }>();

function keyOf(peer: Peer, token: string): string {
  const last = lastOf.get(peer);
  if (last?.token === token) return last.key;
  const key = createHash("sha256").update(token).digest("base64");
  lastOf.set(peer, { token, key });
  return key;
}

/**
 * `Authorization: Bearer …`, and the subprotocol that stands for it. Verdicts are kept for as long as they say, by
 * the token's hash, and the user object of a token stays the same while its content does.
 */
export function createBearerTokenAuthenticator(
  tokens: TokenAuthenticator,
  apiAudiences: readonly string[],
  clock: Clock,
  onLookUp: (isKept: boolean) => void = () => {},
): Authenticator {
  const kept = new Map<string, TokenVerdict>();
  const asked = new Map<string, Promise<UserInfo>>();

  async function ask(token: string, key: string): Promise<UserInfo> {
    const before = kept.get(key);
    kept.delete(key);
    const verdict = await tokens.authenticateToken(token, apiAudiences);
    if (verdict === undefined) throw new Error("invalid bearer token");
    const isSame = before !== undefined && JSON.stringify(before.user) === JSON.stringify(verdict.user);
    const settled = isSame ? { ...verdict, user: before.user } : verdict;
    keepNotes(settled.user, verdict.notes);
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(key, settled);
    return settled.user;
  }

  return {
    authenticate(exchange) {
      const token = tokenOf(exchange);
      if (token === undefined) return undefined;
      const key = keyOf(exchange.peer, token);
      const verdict = kept.get(key);
      const isKept = verdict !== undefined && clock.now() < verdict.keepUntil;
      onLookUp(isKept);
      if (isKept) return verdict.user;
      // Many requests with one token at once are one question.
      let pending = asked.get(key);
      if (pending === undefined) {
        pending = ask(token, key).finally(() => asked.delete(key));
        asked.set(key, pending);
      }
      return pending;
    },
  };
}
