import type { Exchange } from "../server/exchange.ts";
import type { UserInfo } from "./user.ts";

/**
 * One way of proving who asks. Undefined: the request carries no such proof. Throws when it carries one that does not
 * hold; the request is then refused unless another authenticator accepts it.
 */
export interface Authenticator {
  authenticate(exchange: Exchange): UserInfo | undefined | Promise<UserInfo | undefined>;
}

/** A bearer token's meaning. Undefined: not this kind of token. Throws: this kind, but not valid. */
export interface TokenAuthenticator {
  authenticateToken(token: string, audiences?: readonly string[]): Promise<TokenVerdict | undefined>;
}

export interface TokenVerdict {
  readonly user: UserInfo;
  /** Audiences of the token that were asked for. */
  readonly audiences: readonly string[];
  /** Until when the verdict may be kept, epoch milliseconds. */
  readonly keepUntil: number;
}
