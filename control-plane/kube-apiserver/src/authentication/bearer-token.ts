import { createHash } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Authenticator, TokenAuthenticator, TokenVerdict } from "./authenticator.ts";
import type { UserInfo } from "./user.ts";

const MAX_KEPT = 4096;

/** Asks each in turn; the last failure counts when none accepts. */
export function tokenUnion(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    async authenticateToken(token, audiences) {
      let failure: unknown;
      for (const authenticator of authenticators) {
        try {
          const verdict = await authenticator.authenticateToken(token, audiences);
          if (verdict !== undefined) return verdict;
        } catch (error) {
          failure = error;
        }
      }
      if (failure !== undefined) throw failure;
      return undefined;
    },
  };
}

/**
 * `Authorization: Bearer …`. Verdicts are kept for as long as they say, by the token's hash, and the user object of a
 * token stays the same while its content does.
 */
export function createBearerTokenAuthenticator(tokens: TokenAuthenticator, clock: Clock): Authenticator {
  const kept = new Map<string, TokenVerdict>();

  async function ask(token: string, key: string): Promise<UserInfo> {
    const before = kept.get(key);
    kept.delete(key);
    const verdict = await tokens.authenticateToken(token);
    if (verdict === undefined) throw new Error("invalid bearer token");
    const isSame = before !== undefined && JSON.stringify(before.user) === JSON.stringify(verdict.user);
    const settled = isSame ? { ...verdict, user: before.user } : verdict;
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(key, settled);
    return settled.user;
  }

  return {
    authenticate(exchange) {
      const header = exchange.header("authorization");
      if (header === undefined || header.length < 8 || header.slice(0, 7).toLowerCase() !== "bearer ") return undefined;
      const token = header.slice(7).trim();
      if (token === "") return undefined;
      const key = createHash("sha256").update(token).digest("base64");
      const verdict = kept.get(key);
      if (verdict !== undefined && clock.now() < verdict.keepUntil) return verdict.user;
      return ask(token, key);
    },
  };
}
