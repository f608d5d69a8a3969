import type { Agent } from "node:https";
import { statusError } from "@coracle/apimachinery";
import { linkSignal, type Clock } from "@coracle/base";
import type { ServiceResolver } from "../outbound/service-resolver.ts";
import type { ApiRequest } from "../server/api-request.ts";
import { isLongRunning } from "../server/request-info.ts";
import { sendText } from "../server/responder.ts";
import { hostOf, type Backend } from "../streaming/backend.ts";
import { proxyRequest } from "../streaming/proxy.ts";
import { tunnelUpgrade } from "../streaming/tunnel.ts";
import type { Tracing } from "../tracing/tracing.ts";
import type { RemoteService } from "./api-service.ts";
import { frontProxyHeaders, type ProxyIdentity } from "./front-proxy.ts";

const REQUEST_TIMEOUT_MS = 60_000;
/** Discovery is asked for by every client: a slow server must not slow them all. */
const DISCOVERY_TIMEOUT_MS = 5_000;

export interface AggregatedRequestOptions {
  readonly resolve: ServiceResolver;
  readonly identity: () => ProxyIdentity | undefined;
  /** Connections to one server, kept for the next request. */
  readonly agentFor: (remote: RemoteService) => Agent;
  readonly refusesRedirects: boolean;
  readonly clock: Clock;
  /** Absent: nothing is traced. */
  readonly tracing?: Pick<Tracing, "call"> | undefined;
  /** Aborts when this server ends. */
  readonly signal: AbortSignal;
}

/** Whether the client asks what a group version has. */
function isDiscovery({ info }: ApiRequest): boolean {
  return !info.isResource && info.path.replace(/^\/+|\/+$/g, "").split("/").length === 3;
}

/** Sends a request to the server that answers for it, in the name of the user who asks. */
export async function passToRemote(
  request: ApiRequest,
  remote: RemoteService,
  options: AggregatedRequestOptions,
): Promise<void> {
  const { clock } = options;
  if (!remote.isAvailable) return sendText(request, 503, "service unavailable\n");
  const { service } = remote;
  let backend: Backend;
  try {
    const at = await options.resolve(service.namespace, service.name, service.port);
    const { exchange } = request;
    const hostHeader = hostOf({ ...at, isTls: true });
    request.query.sort();
    backend = {
      ...at,
      isTls: true,
      path: exchange.query === "" ? exchange.path : `${exchange.path}?${request.query.toString()}`,
      tls: {
        ...options.identity(),
        ca: remote.skipsVerification ? undefined : remote.ca,
        verifies: !remote.skipsVerification,
        serverName: `${service.name}.${service.namespace}.svc`,
      },
      agent: options.agentFor(remote),
      hostHeader,
      headers: {
        "audit-id": request.auditId,
        "x-forwarded-host": hostHeader,
        "x-forwarded-proto": "https",
        ...frontProxyHeaders(request.user),
      },
      now: clock.now(),
    };
  } catch {
    return sendText(request, 503, "service unavailable\n");
  }
  using link = linkSignal(options.signal);
  const limitMs = isDiscovery(request) ? DISCOVERY_TIMEOUT_MS : isLongRunning(request.info) ? 0 : REQUEST_TIMEOUT_MS;
  let isLate = false;
  using _timer =
    limitMs === 0 || request.exchange.upgrade !== undefined
      ? undefined
      : clock.after(limitMs, () => {
          isLate = true;
          link.abort(new DOMException("the server took too long", "TimeoutError"));
        });
  try {
    if (request.exchange.upgrade !== undefined) return await tunnelUpgrade(request, backend);
    const { refusesRedirects } = options;
    const origin = `https://${hostOf(backend)}`;
    const send = (headers: Readonly<Record<string, string>>): Promise<void> =>
      proxyRequest(
        request,
        { ...backend, headers: { ...backend.headers, ...headers } },
        { linkPrefix: "", linkOrigin: origin, refusesRedirects, signal: link.signal },
      );
    const { method } = request.exchange;
    const attributes = { "http.method": method, "server.address": origin };
    await (options.tracing === undefined ? send({}) : options.tracing.call(`HTTP ${method}`, attributes, send));
  } catch (error) {
    if (request.exchange.isStarted) throw error;
    if (isLate && limitMs === REQUEST_TIMEOUT_MS)
      throw statusError("Timeout", "Timeout: request did not complete within the allotted timeout", {});
    const why = isLate ? "error trying to reach service: context deadline exceeded" : messageOf(error);
    sendText(request, 503, `${why}\n`);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
