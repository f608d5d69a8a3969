import { statusError, StatusError } from "@coracle/apimachinery";
import type { Clock, Logger } from "@coracle/base";
import { notesOf } from "../authentication/authenticator.ts";
import { authenticateImpersonation } from "../authentication/impersonation.ts";
import type { Audit } from "../audit/open-audit.ts";
import type { UserInfo } from "../authentication/user.ts";
import {
  attributesOf,
  refusal,
  type Authorizer,
  type AuthorizationAttributes,
  type Decision,
} from "../authorization/authorizer.ts";
import type { Tracing } from "../tracing/tracing.ts";
import { ApiRequest, type IdentityHeaders } from "./api-request.ts";
import type { ExtraHeaders } from "./cross-origin.ts";
import type { Exchange } from "./exchange.ts";
import type { InFlightRequests } from "./in-flight-requests.ts";
import type { LongBodies } from "./long-bodies.ts";
import type { RequestMetrics } from "./metrics.ts";
import { RequestDeadlines } from "./request-deadlines.ts";
import { isLongRunning, isReading } from "./request-info.ts";
import { baseHeaders, sendError, sendText } from "./responder.ts";
import { TooManyRequests } from "./too-many-requests.ts";

/** One step of every request. Throws a StatusError to refuse. Only waits where it must. */
export type Filter = (request: ApiRequest) => void | Promise<void>;

export interface FilterChainOptions {
  readonly authenticate: (exchange: Exchange) => UserInfo | Promise<UserInfo>;
  /** How one may prove oneself, for the header of a 401. */
  readonly challenge?: string | undefined;
  /** Headers that say for whom a front proxy asks, which nobody behind this server may take for its word. */
  readonly identityHeaders?: IdentityHeaders | undefined;
  readonly authorizer: Authorizer;
  /** Told of each request's decision and how long it took, for the metrics. */
  readonly onAuthorized?: ((decision: Decision, seconds: number) => void) | undefined;
  /** Absent: nothing is recorded. */
  readonly audit?: Audit | undefined;
  /** Absent: nothing is traced. */
  readonly tracing?: Pick<Tracing, "follow"> | undefined;
  /** Answers the request: a resource, discovery, health … */
  readonly dispatch: (request: ApiRequest) => Promise<void>;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Non-long-running requests are ended after so long. */
  readonly requestTimeoutMs: number;
  readonly extraHeaders?: ExtraHeaders | undefined;
  /** Requests that come to an end by themselves. */
  readonly inFlight: InFlightRequests;
  readonly longBodies: LongBodies;
  /** True: the server stops; whoever comes now is told to come again. */
  readonly turnsAway: () => boolean;
  /** Priority and fairness. Absent: the two limits below. */
  readonly flowControl?: Filter | undefined;
  /** 0: no limit. */
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
}

/**
 * The order in which a request passes: request info (made with the request) → authentication → impersonation →
 * flow control, or limits of requests in flight → authorisation → dispatch. Around all of them: the guard that turns any failure into
 * a Status, and the counters.
 */
export function createFilterChain(options: FilterChainOptions): (exchange: Exchange) => void {
  const { clock, metrics } = options;
  const filters: readonly Filter[] = [
    authentication(options),
    ...(options.audit === undefined ? [] : [(request: ApiRequest) => options.audit?.begin(request)]),
    (request) => authenticateImpersonation(request, options.authorizer),
    ...(options.audit === undefined ? [] : [(request: ApiRequest) => request.audited?.noteUser(request.user)]),
    options.flowControl ?? inflightLimits(options),
    authorization(options),
    options.dispatch,
  ];

  const deadlines = new RequestDeadlines(clock, options.requestTimeoutMs, sendTimeout);

  const { inFlight, extraHeaders } = options;

  async function run(request: ApiRequest): Promise<void> {
    let code = 200;
    const isShort = !isLongRunning(request.info);
    if (isShort) inFlight.begin();
    try {
      if (extraHeaders?.apply(request) === true) return;
      if (options.turnsAway() && !isExemptFromTurningAway(request)) {
        throw new TooManyRequests(5, "The apiserver is shutting down, please try again later.");
      }
      deadlines.start(request);
      for (const filter of filters) {
        const pending = filter(request);
        if (pending !== undefined) await pending;
      }
    } catch (error) {
      code = fail(request, error);
    } finally {
      if (isShort) inFlight.end();
      if (request.isTimedOut) code = 504;
      else deadlines.stop(request);
      for (const action of request.onFinish) action();
      // What was answered well, or by somebody else, has a code of its own.
      if (code === 200) code = request.exchange.status ?? code;
      metrics.observe(request, code, (clock.monotonicMs() - request.startedAt) / 1000);
    }
  }

  function fail(request: ApiRequest, error: unknown): number {
    if (request.isTimedOut) return 504;
    if (error instanceof TooManyRequests) {
      sendText(request, 429, `${error.message}\n`, { "retry-after": error.retryAfterSeconds });
      return 429;
    }
    if (error instanceof TypeError || error instanceof RangeError) request.panic = error.message;
    if (error instanceof AuthorizationFailure) return sendAuthorizationFailure(request, error);
    const failure = StatusError.from(error);
    // Without a cause it is the server's own word; with one, something broke.
    if (failure.code === 500 && failure.cause !== undefined && !request.signal.aborted) {
      options.logger.error("request failed", {
        method: request.exchange.method,
        path: request.info.path,
        error: failure.cause,
      });
    }
    return sendError(request, failure);
  }

  return (exchange) => {
    let request: ApiRequest;
    try {
      request = new ApiRequest(exchange, clock.monotonicMs());
      request.longBodies = options.longBodies;
    } catch (error) {
      // Whoever sends this sends more of it: no reason to fill the log.
      options.logger.debug("request refused", { error });
      exchange.send(400, { "content-type": "text/plain; charset=utf-8" }, Buffer.from("400 Bad Request"));
      return;
    }
    const running = options.tracing === undefined ? run(request) : options.tracing.follow(request, () => run(request));
    running.catch((error: unknown) => options.logger.error("a request could not be answered", { error }));
  };
}

/** Probes and the server's own requests. */
function isExemptFromTurningAway({ exchange, userAgent }: ApiRequest): boolean {
  return /^\/(readyz|livez|healthz|metrics)/.test(exchange.path) || userAgent.startsWith("kube-apiserver/");
}

/** Time is up. What the request does yet goes on, and nobody hears of it. */
function sendTimeout(request: ApiRequest): void {
  if (request.exchange.isStarted) return;
  request.isTimedOut = true;
  const { status } = statusError("Timeout", "Timeout: request did not complete within the allotted timeout", {});
  const { message, reason, code } = status;
  const body = { metadata: {}, status: "Failure", message, reason, details: {}, code };
  const headers = baseHeaders(request, "text/plain; charset=utf-8");
  request.exchange.send(504, headers, Buffer.from(`${JSON.stringify(body)}\n`));
}

function authentication(options: FilterChainOptions): Filter {
  const take = (request: ApiRequest, user: UserInfo): void => {
    request.user = user;
    const warnings = notesOf(user)?.warnings;
    if (warnings !== undefined) request.warnings.push(...warnings);
  };
  const refuse = (request: ApiRequest, error: unknown): never => {
    options.audit?.refuse(request);
    throw error;
  };
  return (request) => {
    request.challenge = options.challenge;
    if (options.identityHeaders !== undefined) request.identityHeaders = options.identityHeaders;
    try {
      const user = options.authenticate(request.exchange);
      if (user instanceof Promise) {
        return user.then(
          (found) => take(request, found),
          (error: unknown) => refuse(request, error),
        );
      }
      take(request, user);
    } catch (error) {
      refuse(request, error);
    }
    return undefined;
  };
}

function inflightLimits(options: FilterChainOptions): Filter {
  const { metrics } = options;
  return (request) => {
    if (isLongRunning(request.info)) return;
    const isRead = isReading(request.info);
    const limit = isRead ? options.maxRequestsInflight : options.maxMutatingRequestsInflight;
    const current = isRead ? metrics.inflightReadOnly : metrics.inflightMutating;
    if (limit > 0 && current >= limit && !request.user.groups.includes("system:masters")) {
      throw new TooManyRequests(1);
    }
    if (isRead) metrics.inflightReadOnly += 1;
    else metrics.inflightMutating += 1;
    request.onFinish.push(() => {
      if (isRead) metrics.inflightReadOnly -= 1;
      else metrics.inflightMutating -= 1;
    });
  };
}

/** Whether the request is allowed could not be found out. */
class AuthorizationFailure extends Error {}

function sendAuthorizationFailure(request: ApiRequest, { message }: AuthorizationFailure): number {
  const { path, query } = request.exchange;
  const uri = JSON.stringify(query === "" ? path : `${path}?${query}`);
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const text = `Internal Server Error: ${uri}: ${message}`.replace(/[&<>]/g, (character) => entities[character]!);
  sendText(request, 500, `${text}\n`);
  return 500;
}

function authorization(options: FilterChainOptions): Filter {
  const { authorizer, clock } = options;
  const note = (found: Decision, startedAt: number): void =>
    options.onAuthorized?.(found, (clock.monotonicMs() - startedAt) / 1000);
  const check = (request: ApiRequest, attributes: AuthorizationAttributes, found: Decision): void => {
    if (found.verdict === "allow") {
      request.annotate?.("authorization.k8s.io/decision", "allow");
      request.annotate?.("authorization.k8s.io/reason", found.reason ?? "");
      return;
    }
    if (found.error !== undefined) {
      request.annotate?.("authorization.k8s.io/reason", "internal error");
      throw new AuthorizationFailure(found.error);
    }
    request.annotate?.("authorization.k8s.io/decision", "forbid");
    request.annotate?.("authorization.k8s.io/reason", found.reason ?? "");
    request.isRefused = true;
    throw refusal(attributes, found.reason ?? "");
  };
  return (request) => {
    const attributes = attributesOf(request.user, request.info, request.query);
    if (attributes.verb === "update" || attributes.verb === "patch") {
      request.authorizeCreate = async () => {
        const create = { ...attributes, verb: "create" };
        check(request, create, await authorizer.authorize(create));
      };
    }
    const startedAt = clock.monotonicMs();
    const decision = authorizer.authorize(attributes);
    if (decision instanceof Promise) {
      return decision.then((found) => {
        note(found, startedAt);
        check(request, attributes, found);
      });
    }
    note(decision, startedAt);
    check(request, attributes, decision);
    return undefined;
  };
}
