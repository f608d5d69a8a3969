import { randomBytes } from "node:crypto";
import type { Clock } from "@coracle/base";
import type { Engine } from "../engine/engine.ts";
import { authError } from "./auth-error.ts";
import { EMPTY_AUTH, isAdministrator, isPermitted, userOf, type AuthState } from "./auth-state.ts";
import type { ByteRange } from "./byte-range.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { hashPassword, isPassword } from "./password.ts";
import { readToken, signToken } from "./signed-token.ts";
import type { TokenOptions } from "./token-options.ts";

const SETTING = "auth";
const TOKEN_TTL_MS = 300_000;
const MAX_TOKENS = 100_000;

/** Who calls, and which users and roles were in force when they said so. */
export interface AuthInfo {
  readonly user: string;
  readonly revision: number;
}

interface Token extends AuthInfo {
  untilMs: number;
}

/** What of a call says who it is. */
export interface Credentials {
  readonly token: string | undefined;
  /** Common name of the certificate that the client showed. */
  readonly certificateUser: string | undefined;
}

/** How users say who they are. */
export interface AuthOptions {
  /** Whether the common name of a client's certificate does. */
  readonly usesCertificates?: boolean | undefined;
  readonly tokens?: TokenOptions | undefined;
  /** A token of the simple kind that nobody uses so long is forgotten. */
  readonly tokenTtlMs?: number | undefined;
  readonly bcryptCost?: number | undefined;
}

/** Users, roles and tokens of one server. Users and roles are kept in the store; tokens end with the process. */
export class AuthStore {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #options: AuthOptions;
  readonly #tokenTtlMs: number;
  readonly #tokens = new Map<string, Token>();
  #state: AuthState;
  #last: Promise<unknown> = Promise.resolve();

  constructor(engine: Engine, clock: Clock, options: AuthOptions = {}) {
    this.#engine = engine;
    this.#clock = clock;
    this.#options = options;
    this.#tokenTtlMs = options.tokenTtlMs ?? TOKEN_TTL_MS;
    this.#state = (engine.setting(SETTING) as AuthState | undefined) ?? EMPTY_AUTH;
  }

  get state(): AuthState {
    return this.#state;
  }

  /** Changes users and roles, one change after another; the new state counts once it is durable. */
  async change(apply: (state: AuthState) => AuthState): Promise<void> {
    const change = this.#last.then(async () => {
      const next = apply(this.#state);
      if (next === this.#state) return;
      await this.#engine.keepSetting(SETTING, next);
      this.#state = next;
      if (!next.enabled) this.#tokens.clear();
    });
    this.#last = change.catch(() => undefined);
    await change;
  }

  /** A token for a user who knows the password. */
  async authenticate(user: string, password: string): Promise<string> {
    const { enabled, revision, users } = this.#state;
    if (!enabled) throw authError.authNotEnabled();
    const known = Object.hasOwn(users, user) ? users[user] : undefined;
    if (known === undefined) throw authError.authFailed();
    if (known.noPassword === true) throw authError.noPasswordUser();
    if (known.password === undefined || !(await isPassword(password, known.password))) throw authError.authFailed();
    const { tokens } = this.#options;
    if (tokens?.type === "jwt") {
      if (tokens.signingKey === undefined) {
        throw new GrpcError(grpcCode.unknown, "auth: token signing attempted with verify-only key");
      }
      const exp = Math.floor((this.#clock.now() + tokens.ttlMs) / 1_000);
      return signToken(tokens.method, tokens.signingKey, { username: user, revision, exp });
    }
    this.#forgetOldTokens();
    const token = `${randomBytes(12).toString("base64url")}.${this.#engine.compacted}`;
    this.#tokens.set(token, { user, revision, untilMs: this.#clock.monotonicMs() + this.#tokenTtlMs });
    return token;
  }

  hash(password: string): Promise<string> {
    return hashPassword(password, this.#options.bcryptCost);
  }

  /** What the user was given before counts no more. */
  forgetTokensOf(user: string): void {
    for (const [token, info] of this.#tokens) if (info.user === user) this.#tokens.delete(token);
  }

  /** Undefined: nobody in particular. Throws for a token that is none. */
  infoOf({ token, certificateUser }: Credentials): AuthInfo | undefined {
    if (!this.#state.enabled) return undefined;
    if (this.#options.usesCertificates === true && certificateUser !== undefined && token === undefined) {
      return { user: certificateUser, revision: this.#state.revision };
    }
    if (token === undefined) return undefined;
    const { tokens } = this.#options;
    if (tokens?.type === "jwt") {
      const claims = readToken(tokens.method, tokens.verifyingKey, token, this.#clock.now());
      if (claims === undefined) throw authError.invalidAuthToken();
      return { user: claims.username, revision: claims.revision };
    }
    const info = this.#tokens.get(token);
    const now = this.#clock.monotonicMs();
    if (info === undefined || info.untilMs < now) throw authError.invalidAuthToken();
    info.untilMs = now + this.#tokenTtlMs;
    return info;
  }

  checkRead(info: AuthInfo | undefined, range: ByteRange): void {
    this.#check(info, range, "READ");
  }

  checkWrite(info: AuthInfo | undefined, range: ByteRange): void {
    this.#check(info, range, "WRITE");
  }

  checkKnown(info: AuthInfo | undefined): void {
    if (this.#state.enabled && info === undefined) throw authError.userEmpty();
  }

  checkAdministrator(info: AuthInfo | undefined): void {
    if (!this.#state.enabled) return;
    if (info === undefined || info.user === "") throw authError.userEmpty();
    if (!isAdministrator(this.#state, info.user)) throw authError.permissionDenied();
  }

  isAdministrator(info: AuthInfo | undefined): boolean {
    return (
      !this.#state.enabled || (info !== undefined && this.#state.users[info.user]?.roles.includes("root") === true)
    );
  }

  /** Whether the caller asks about itself. */
  hasRole(info: AuthInfo | undefined, role: string): boolean {
    return info !== undefined && userOf(this.#state, info.user).roles.includes(role);
  }

  #check(info: AuthInfo | undefined, range: ByteRange, access: "READ" | "WRITE"): void {
    if (!this.#state.enabled) return;
    if (info === undefined) throw authError.userEmpty();
    if (info.revision < this.#state.revision) throw authError.oldRevision();
    if (!isPermitted(this.#state, info.user, range, access)) throw authError.permissionDenied();
  }

  #forgetOldTokens(): void {
    const now = this.#clock.monotonicMs();
    for (const [token, { untilMs }] of this.#tokens) if (untilMs < now) this.#tokens.delete(token);
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= MAX_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
  }
}
