import { unauthorized } from "@coracle/apimachinery";
import type { Exchange } from "../server/exchange.ts";
import type { Authenticator } from "./authenticator.ts";
import { anonymous, type UserInfo } from "./user.ts";

/** Whether a request without any proof may pass as anonymous. */
export type AnonymousRule = (exchange: Exchange) => boolean;

/** Anonymous requests everywhere, nowhere, or to these paths alone. */
export function anonymousRule(isEnabled: boolean, paths: readonly string[] = []): AnonymousRule {
  if (!isEnabled) return () => false;
  if (paths.length === 0) return () => true;
  const allowed = new Set(paths);
  return ({ path }) => {
    if (!path.includes("%")) return allowed.has(path);
    try {
      return allowed.has(decodeURIComponent(path));
    } catch {
      return false;
    }
  };
}

/**
 * Asks each authenticator in order. A proof that fails refuses the request, unless a later one holds; a request
 * without any proof is anonymous where that is allowed. `onRefused` is told why, for the log: never the client.
 */
export function authenticateWith(
  authenticators: readonly Authenticator[],
  allowsAnonymous: AnonymousRule,
  onRefused: (failures: readonly unknown[]) => void = () => {},
): (exchange: Exchange) => UserInfo | Promise<UserInfo> {
  const finish = (exchange: Exchange, failures: readonly unknown[] | undefined): UserInfo => {
    if (failures !== undefined) onRefused(failures);
    if (failures !== undefined || !allowsAnonymous(exchange)) throw unauthorized();
    return anonymous;
  };
  async function slow(
    exchange: Exchange,
    from: number,
    pending: Promise<UserInfo | undefined>,
    before: readonly unknown[] | undefined,
  ): Promise<UserInfo> {
    let failures = before;
    let next: UserInfo | undefined | Promise<UserInfo | undefined> = pending;
    for (let i = from; ;) {
      try {
        const user = await next;
        if (user !== undefined) return user;
      } catch (error) {
        failures = [...(failures ?? []), error];
      }
      i += 1;
      if (i >= authenticators.length) return finish(exchange, failures);
      next = callLater(authenticators[i]!, exchange);
    }
  }
  return (exchange) => {
    let failures: unknown[] | undefined;
    for (let i = 0; i < authenticators.length; i++) {
      let result: UserInfo | undefined | Promise<UserInfo | undefined>;
      try {
        result = authenticators[i]!.authenticate(exchange);
      } catch (error) {
        (failures ??= []).push(error);
        continue;
      }
      if (result === undefined) continue;
      if (result instanceof Promise) return slow(exchange, i, result, failures);
      return result;
    }
    return finish(exchange, failures);
  };
}

async function callLater(authenticator: Authenticator, exchange: Exchange): Promise<UserInfo | undefined> {
  return authenticator.authenticate(exchange);
}
