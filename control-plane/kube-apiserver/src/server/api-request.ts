import { randomUUID } from "node:crypto";
import { anonymous, type UserInfo } from "../authentication/user.ts";
import type { RepeatedFields, RequestContext } from "../registry/registry.ts";
import type { Exchange } from "./exchange.ts";
import { parseRequestInfo, type RequestInfo } from "./request-info.ts";

const NO_QUERY = new URLSearchParams();
const mayCreate = (): Promise<void> => Promise.resolve();

/** One request on its way through the filters. */
export class ApiRequest implements RequestContext {
  readonly exchange: Exchange;
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
  /** Set by flow control: what decided about the request's turn. */
  flow: { readonly uid: string; readonly level: { readonly uid: string } } | undefined = undefined;
  /** A shorter time than the server's own, if the client asked for one. */
  timeoutMs: number | undefined = undefined;
  /** It took too long and was answered; what it does yet is for nobody. */
  isTimedOut = false;
  /** Undone in reverse order when the request is over, whatever its outcome. */
  readonly onFinish: (() => void)[] = [];

  constructor(exchange: Exchange, startedAt: number) {
    this.exchange = exchange;
    this.startedAt = startedAt;
    this.query = exchange.query === "" ? NO_QUERY : new URLSearchParams(exchange.query);
    this.info = parseRequestInfo(exchange.method, exchange.path, this.query);
    this.auditId = exchange.header("audit-id") ?? randomUUID();
  }

  get signal(): AbortSignal {
    return this.exchange.signal;
  }

  get userAgent(): string {
    return this.exchange.header("user-agent") ?? "";
  }
}
