import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Duplex } from "node:stream";
import { badRequest, serviceUnavailable } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";

/** The other end of a tunnel or a proxied request. */
export interface Backend {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Path with query. */
  readonly path: string;
  readonly tls?: { readonly cert?: string; readonly key?: string; readonly ca?: string | undefined } | undefined;
}

/** Headers that are between a client and this server only. */
const PRIVATE_HEADERS = new Set([
  "host",
  "authorization",
  "http2-settings",
  "x-remote-user",
  "x-remote-group",
  "x-remote-uid",
]);

/** What is passed on of a request's headers. */
export function forwardedHeaders(request: ApiRequest): Record<string, string | readonly string[]> {
  const out: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(request.exchange.headers())) {
    if (value === undefined || name.startsWith(":") || PRIVATE_HEADERS.has(name)) continue;
    if (name.startsWith("impersonate-") || name.startsWith("x-remote-extra-")) continue;
    out[name] = value;
  }
  return out;
}

function open(backend: Backend): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const { host, port, tls } = backend;
    const socket = backend.isTls
      ? connectTls(
          {
            host,
            port,
            ALPNProtocols: ["http/1.1"],
            ...(tls?.cert === undefined ? {} : { cert: tls.cert, key: tls.key }),
            ...(tls?.ca === undefined ? { rejectUnauthorized: false } : { ca: tls.ca }),
          },
          () => settle(),
        )
      : connectTcp({ host, port }, () => settle());
    const fail = (error: Error): void =>
      reject(serviceUnavailable(`error dialing backend: ${error.message}`, { cause: error }));
    socket.once("error", fail);
    function settle(): void {
      socket.removeListener("error", fail);
      socket.setNoDelay(true);
      resolve(socket);
    }
  });
}

/**
 * Joins an upgrade request to the backend byte by byte: whatever protocol the two agree on, this server does not
 * look at it. Resolves when both ends have closed.
 */
export async function tunnelUpgrade(request: ApiRequest, backend: Backend): Promise<void> {
  const { upgrade } = request.exchange;
  if (upgrade === undefined) throw badRequest("Upgrade request required");
  const client = upgrade.socket;
  const server = await open(backend);
  let head = `${request.exchange.method} ${backend.path} HTTP/1.1\r\nhost: ${backend.host}:${backend.port}\r\n`;
  for (const [name, value] of Object.entries(forwardedHeaders(request))) {
    for (const one of typeof value === "string" ? [value] : value) head += `${name}: ${one}\r\n`;
  }
  server.write(`${head}\r\n`);
  if (upgrade.head.length > 0) server.write(upgrade.head);
  await new Promise<void>((resolve) => {
    let open = 2;
    const gone = (): void => {
      if (--open === 0) resolve();
    };
    client.once("close", gone);
    server.once("close", gone);
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
    client.once("close", () => server.destroy());
    server.once("close", () => client.end());
    client.pipe(server);
    server.pipe(client);
  });
}
