import type { Clock } from "@coracle/base";
import type { UserInfo } from "../authentication/user.ts";
import { createOutboundClient, type OutboundAnswer, type OutboundClient } from "../outbound/outbound-client.ts";
import type { Address, ServiceResolver } from "../outbound/service-resolver.ts";
import type { RemoteService } from "./api-service.ts";
import { frontProxyHeaders, type ProxyIdentity } from "./front-proxy.ts";

/** A question that this server asks an aggregated server by itself. */
export interface RemoteQuestion {
  readonly path: string;
  readonly user: UserInfo;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxBytes?: number | undefined;
  /** Whoever answers will do: for checks that only want to know whether anybody does. */
  readonly trustsAnybody?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Asks aggregated servers. Throws OutboundErrors, or what the resolver throws. */
export interface RemoteCaller extends AsyncDisposable {
  locate(remote: RemoteService): Promise<Address>;
  ask(remote: RemoteService, at: Address, question: RemoteQuestion): Promise<OutboundAnswer>;
}

/** `https://HOST:PORT` */
export const originOf = ({ host, port }: Address): string =>
  `https://${host.includes(":") ? `[${host}]` : host}:${port}`;

export interface RemoteCallerOptions {
  readonly clock: Clock;
  readonly resolve: ServiceResolver;
  readonly identity: () => ProxyIdentity | undefined;
}

export function createRemoteCaller(options: RemoteCallerOptions): RemoteCaller {
  let client: OutboundClient | undefined;
  return {
    locate: ({ service }) => options.resolve(service.namespace, service.name, service.port),
    ask({ service, ca, skipsVerification }, at, question) {
      client ??= createOutboundClient({ clock: options.clock });
      return client.call(
        {
          origin: originOf(at),
          path: "",
          locate: () => at,
          serverName: `${service.name}.${service.namespace}.svc`,
          ca: question.trustsAnybody === true ? undefined : ca,
          insecureSkipTlsVerify: question.trustsAnybody === true || skipsVerification,
          identity: options.identity(),
          mayHttp2: false,
        },
        {
          method: "GET",
          path: question.path,
          headers: { accept: "application/json", ...question.headers, ...frontProxyHeaders(question.user) },
          timeoutMs: question.timeoutMs,
          maxBytes: question.maxBytes,
          signal: question.signal,
        },
      );
    },
    async [Symbol.asyncDispose]() {
      await client?.[Symbol.asyncDispose]();
    },
  };
}
