import { unauthorized } from "@coracle/apimachinery";
import type { Exchange } from "../server/exchange.ts";
import type { Authenticator } from "./authenticator.ts";
import { anonymous, type UserInfo } from "./user.ts";

/**
 * Asks each authenticator in order. A proof that fails refuses the request, unless a later one holds; a request
 * without any proof is anonymous where that is allowed.
 */
export function authenticateWith(
  authenticators: readonly Authenticator[],
  allowsAnonymous: boolean,
): (exchange: Exchange) => UserInfo | Promise<UserInfo> {
  const finish = (failure: unknown): UserInfo => {
    if (failure !== undefined || !allowsAnonymous) throw unauthorized();
    return anonymous;
  };
  async function slow(
    exchange: Exchange,
    from: number,
    pending: Promise<UserInfo | undefined>,
    before: unknown,
  ): Promise<UserInfo> {
    let failure = before;
    let next: UserInfo | undefined | Promise<UserInfo | undefined> = pending;
    for (let i = from; ;) {
      try {
        const user = await next;
        if (user !== undefined) return user;
      } catch (error) {
        failure = error;
      }
      i += 1;
      if (i >= authenticators.length) return finish(failure);
      next = callLater(authenticators[i]!, exchange);
    }
  }
  return (exchange) => {
    let failure: unknown;
    for (let i = 0; i < authenticators.length; i++) {
      let result: UserInfo | undefined | Promise<UserInfo | undefined>;
      try {
        result = authenticators[i]!.authenticate(exchange);
      } catch (error) {
        failure = error;
        continue;
      }
      if (result === undefined) continue;
      if (result instanceof Promise) return slow(exchange, i, result, failure);
      return result;
    }
    return finish(failure);
  };
}

async function callLater(authenticator: Authenticator, exchange: Exchange): Promise<UserInfo | undefined> {
  return authenticator.authenticate(exchange);
}
