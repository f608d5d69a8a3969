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
  /** `audiences`: whom the token must be meant for; absent: this server. */
  authenticateToken(token: string, audiences?: readonly string[]): Promise<TokenVerdict | undefined>;
}

export interface TokenVerdict {
  readonly user: UserInfo;
  /** Audiences of the token that were asked for. */
  readonly audiences: readonly string[];
  /** Until when the verdict may be kept, epoch milliseconds. */
  readonly keepUntil: number;
  /** What is to be told and noted whenever the token is used. */
  readonly notes?: CredentialNotes | undefined;
}

/** What comes with the use of a credential beside the user. */
export interface CredentialNotes {
  /** For the holder, in the answer's Warning header. */
  readonly warnings?: readonly string[];
  /** For the audit log. */
  readonly annotations?: Readonly<Record<string, string>>;
}

const notes = new WeakMap<UserInfo, CredentialNotes>();

/** Notes what comes with a user who was found by a credential; the user object is that credential's own. */
export function keepNotes(user: UserInfo, found: CredentialNotes | undefined): void {
  if (found !== undefined) notes.set(user, found);
}

/** What was noted with the credential that gave this user. */
export function notesOf(user: UserInfo): CredentialNotes | undefined {
  return notes.get(user);
}

/** The failures of several attempts as one error, each text once: `[a, b]`. */
export function joinErrors(errors: readonly unknown[]): Error {
  const texts = [...new Set(errors.map((error) => (error instanceof Error ? error.message : String(error))))];
  return new Error(texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`);
}

/** Lets tokens that know no audiences hold for `own`: those of them that were asked for. */
export function withAudiences(own: readonly string[], tokens: TokenAuthenticator): TokenAuthenticator {
  return {
    async authenticateToken(token, wanted) {
      const audiences = wanted === undefined ? own : own.filter((audience) => wanted.includes(audience));
      if (wanted !== undefined && audiences.length === 0) return undefined;
      const verdict = await tokens.authenticateToken(token, wanted);
      if (verdict === undefined) return undefined;
      return { ...verdict, audiences };
    },
  };
}
