import { isIP } from "node:net";
import type { Transport } from "@coracle/client";
import { hostPort } from "./outbound-error.ts";
import type { Address, ServiceResolver } from "./service-resolver.ts";

/** How this server proves itself to one peer. */
export interface ClientIdentity {
  /** PEM. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** The whole value of the Authorization header. Never logged. */
  readonly authorization?: (() => string | undefined) | undefined;
  /** Other headers: impersonation. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One peer of this server, with all that decides which connections to it may be shared. */
export interface OutboundTarget {
  /** `https://HOST:PORT` as errors name it and as the Host header says. */
  readonly origin: string;
  /** The path of the peer's root: `""` or `/PATH` without a slash at its end. */
  readonly path: string;
  /** Where to connect; asked for each new connection. */
  readonly locate: () => Address | Promise<Address>;
  /** The name the certificate must carry; an IP address is checked as such. */
  readonly serverName: string;
  /** PEM of the authorities to trust; absent: those of the host. */
  readonly ca?: string | Buffer | undefined;
  readonly insecureSkipTlsVerify?: boolean | undefined;
  readonly identity?: ClientIdentity | undefined;
  /** HTTP/2 when the peer offers it. Services are spoken to by HTTP/1.1, so that their pods share the load. */
  readonly mayHttp2: boolean;
  /** The peer is this server: no socket. */
  readonly self?: (() => Transport) | undefined;
}

/** `clientConfig` of webhook configurations, conversions and APIServices. */
export interface WebhookClientConfig {
  readonly url?: string | undefined;
  readonly service?:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly path?: string | undefined;
        readonly port?: number | undefined;
      }
    | undefined;
  /** Base64 of PEM, as in the API. */
  readonly caBundle?: string | undefined;
}

/** What targets are made with. */
export interface TargetDeps {
  readonly resolve: ServiceResolver;
  /** The identity for a `HOST:PORT`. */
  readonly identityFor?: ((hostPort: string) => ClientIdentity | undefined) | undefined;
  /** A way into this server, as itself. */
  readonly self?: (() => Transport) | undefined;
}

const HTTPS_PORT = 443;

const isLoopback = (host: string): boolean =>
  host.toLowerCase() === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

function authorities(caBundle: string | undefined): string | undefined {
  if (caBundle === undefined || caBundle === "") return undefined;
  const pem = Buffer.from(caBundle, "base64").toString("utf8");
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new Error("unable to load root certificates: unable to parse bytes as PEM block");
  }
  return pem;
}

/** The peer that a `clientConfig` means. Throws an error with upstream's text when it means none. */
export function targetOf(config: WebhookClientConfig, deps: TargetDeps): OutboundTarget {
  const ca = authorities(config.caBundle);
  const { service } = config;
  if (service !== undefined && service !== null) {
    const port = service.port ?? HTTPS_PORT;
    const serverName = `${service.name}.${service.namespace}.svc`;
    const isSelf = service.name === "kubernetes" && service.namespace === "default" && port === HTTPS_PORT;
    return {
      origin: `https://${serverName}:${port}`,
      path: rootOf(service.path ?? ""),
      locate: () => deps.resolve(service.namespace, service.name, port),
      serverName,
      ca,
      identity: deps.identityFor?.(`${serverName}:${port}`),
      mayHttp2: false,
      self: isSelf ? deps.self : undefined,
    };
  }
  if (config.url === undefined || config.url === "") {
    throw new Error("webhook configuration must have either service or URL");
  }
  let url: URL;
  try {
    url = new URL(config.url);
  } catch (error) {
    throw new Error(`Unparsable URL: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? HTTPS_PORT : Number(url.port);
  return {
    origin: `https://${url.host}`,
    path: rootOf(decodeURI(url.pathname)),
    locate: () => ({ host, port }),
    serverName: host,
    ca,
    identity: deps.identityFor?.(hostPort(host, port)),
    mayHttp2: isLoopback(host),
    self: hostPort(host, port) === "kubernetes.default.svc:443" ? deps.self : undefined,
  };
}

/** `/a/b/` as `/a/b`. */
function rootOf(path: string): string {
  const root = path.replace(/\/+/g, "/").replace(/\/$/, "");
  return root === "" || root.startsWith("/") ? root : `/${root}`;
}
