import { randomUUID } from "node:crypto";
import { badRequest } from "@coracle/apimachinery";
import { anonymous, type UserInfo } from "../authentication/user.ts";
import type { AuditedRequest } from "../audit/audited-request.ts";
import type { RepeatedFields, RequestContext } from "../registry/registry.ts";
import type { Exchange, ResponseHeaders } from "./exchange.ts";
import type { LongBodies } from "./long-bodies.ts";
import { parseRequestInfo, type RequestInfo } from "./request-info.ts";

const BROKEN_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const NO_QUERY = new URLSearchParams();
const mayCreate = (): Promise<void> => Promise.resolve();

/** Names of headers, and beginnings of such names. */
export interface IdentityHeaders {
  readonly names: ReadonlySet<string>;
  readonly prefixes: readonly string[];
}

const NO_IDENTITY_HEADERS: IdentityHeaders = { names: new Set(), prefixes: [] };

/** One request on its way through the filters. */
export class ApiRequest implements RequestContext {
  /** Whoever records the request puts himself in its place. */
  exchange: Exchange;
  readonly query: URLSearchParams;
  readonly info: RequestInfo;
  readonly startedAt: number;
  readonly auditId: string;
  user: UserInfo = anonymous;
  readonly warnings: string[] = [];
  /** Set when the body was read. */
  repeatedFields: RepeatedFields | undefined = undefined;
  /** Set by the authorisation filter for what may create by the way. */
  authorizeCreate: () => Promise<void> = mayCreate;
  /** The authoriser said no: browsers are told not to guess at the refusal's type. */
  isRefused = false;
  /** What a 401 names as the way to prove oneself. */
  challenge: string | undefined;
  /** Headers by which a front proxy says for whom it asks, in lower case: they are for this server alone. */
  identityHeaders: IdentityHeaders = NO_IDENTITY_HEADERS;
  /** Set by flow control: what decided about the request's turn. */
  flow: { readonly uid: string; readonly level: { readonly uid: string } } | undefined = undefined;
  /** What every answer carries beside its own headers. */
  extraHeaders: ResponseHeaders | undefined = undefined;
  /** A shorter time than the server's own, if the client asked for one. */
  timeoutMs: number | undefined = undefined;
  /** It took too long and was answered; what it does yet is for nobody. */
  isTimedOut = false;
  /** Absent: the request is not recorded. */
  audited: AuditedRequest | undefined = undefined;
  annotate: RequestContext["annotate"] = undefined;
  noteObject: RequestContext["noteObject"] = undefined;
  /** What broke in the server itself. */
  panic: string | undefined = undefined;
  /** Time that it waited for its turn and for webhooks. */
  waitedMs = 0;
  /** Bytes of the answer's body that were written piece by piece. */
  streamedBytes = 0;
  /** Of the request's own body, once it was read whole. */
  bodyBytes = 0;
  /** Who works on long bodies in turn. Absent: each at once. */
  longBodies: LongBodies | undefined = undefined;
  /** Undone in reverse order when the request is over, whatever its outcome. */
  readonly onFinish: (() => void)[] = [];

  /** Throws 400 when the path is none. */
  constructor(exchange: Exchange, startedAt: number) {
    if (BROKEN_ESCAPE.test(exchange.path)) throw badRequest("invalid URL escape");
    this.exchange = exchange;
    this.startedAt = startedAt;
    this.query = exchange.query === "" ? NO_QUERY : new URLSearchParams(exchange.query);
    this.info = parseRequestInfo(exchange.method, exchange.path, this.query);
    this.auditId = exchange.header("audit-id") ?? randomUUID();
  }

  noteWait(ms: number): void {
    this.waitedMs += ms;
  }

  get signal(): AbortSignal {
    return this.exchange.signal;
  }

  get userAgent(): string {
    return this.exchange.header("user-agent") ?? "";
  }
}
