import type { IncomingMessage } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import type { RemoteCommand, RemoteCommandStreams, StreamTarget } from "@coracle/client/streaming";
import { badRequest } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";
import { forwardedHeaders, hostOf, tlsOptions, type Backend, type ForwardedHeaders } from "./backend.ts";
import { dialUpgrade, joinUpgrade, type DialedUpgrade } from "./tunnel.ts";

const EXEC_PROTOCOL = "v5.channel.k8s.io";
const TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io";
/** How servers that do not know a protocol refuse it. */
const REFUSED = new Set([400, 403, 426, 501]);

/** Headers of a WebSocket handshake: they mean nothing to a peer that is asked for SPDY. */
const isWebSocketHeader = (name: string): boolean => name.startsWith("sec-websocket-");

function offers(request: ApiRequest, protocol: string): boolean {
  const { upgrade, header } = { upgrade: request.exchange.upgrade, header: "sec-websocket-protocol" };
  if (upgrade === undefined || upgrade.protocol.toLowerCase() !== "websocket") return false;
  const offered = request.exchange.header(header) ?? "";
  return offered.split(",").some((name) => name.trim() === protocol);
}

/** The handshake as the streaming library reads it. */
function handshakeOf(request: ApiRequest): IncomingMessage {
  const { exchange } = request;
  const headers = { ...exchange.headers() };
  return { method: exchange.method, url: exchange.path, headers } as unknown as IncomingMessage;
}

function spdyHeaders(request: ApiRequest, backend: Backend): ForwardedHeaders {
  const headers = forwardedHeaders(request, backend);
  for (const name of Object.keys(headers)) if (isWebSocketHeader(name)) delete headers[name];
  headers["connection"] = "Upgrade";
  headers["upgrade"] = "SPDY/3.1";
  headers["content-length"] = "0";
  return headers;
}

/** Asks as the client did. Undefined: answered, or being answered. */
async function askAsItCame(
  request: ApiRequest,
  backend: Backend,
  protocol: string,
): Promise<DialedUpgrade | undefined> {
  const { upgrade, method } = request.exchange;
  if (upgrade === undefined) throw badRequest("Upgrade request required");
  const dialed = await dialUpgrade(backend, method, forwardedHeaders(request, backend), request.signal);
  if (REFUSED.has(dialed.answer.status) && offers(request, protocol)) return dialed;
  await joinUpgrade(upgrade, dialed);
  return undefined;
}

/**
 * Joins an exec or attach request to the kubelet: byte by byte where the kubelet speaks what the client does;
 * for kubelets that know SPDY only, WebSocket (`v5.channel.k8s.io`) is translated.
 */
export async function streamCommand(
  request: ApiRequest,
  backend: Backend,
  streams: RemoteCommandStreams,
): Promise<void> {
  const refused = await askAsItCame(request, backend, EXEC_PROTOCOL);
  if (refused === undefined) return;
  refused.socket.destroy();
  const { connectRemoteCommand, serveRemoteCommand } = await import("@coracle/client/streaming");
  const { upgrade } = request.exchange;
  const headers = spdyHeaders(request, backend);
  for (const name of ["connection", "upgrade", "host"]) delete headers[name];
  const target: StreamTarget = {
    url: new URL(`${backend.isTls ? "https" : "http"}://${hostOf(backend)}${backend.path}`),
    transport: "spdy",
    headers: headers as Record<string, string>,
    connection: backend.isTls ? tlsOptions(backend) : {},
  };
  await serveRemoteCommand(
    handshakeOf(request),
    upgrade!.socket,
    upgrade!.head,
    async (session) => {
      const command = await connectRemoteCommand(target, streams);
      const leave = (): void => command.close();
      session.signal.addEventListener("abort", leave, { once: true });
      try {
        return { status: await relay(command, session) };
      } finally {
        session.signal.removeEventListener("abort", leave);
        command.close();
      }
    },
    { streams, errorPrefix: "Internal error occurred" },
  );
}

type Status = Awaited<RemoteCommand["status"]>;

interface ClientStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  readonly resize: AsyncIterable<{ readonly width: number; readonly height: number }>;
}

async function relay(command: RemoteCommand, client: ClientStreams): Promise<Status> {
  if (client.stdin !== undefined && command.stdin !== undefined) {
    // A command may end without having read all of its input.
    pipeline(client.stdin, command.stdin).catch(() => undefined);
  }
  const follow = async (): Promise<void> => {
    for await (const size of client.resize) command.resize(size);
  };
  follow().catch(() => undefined);
  const outputs = (
    [
      [command.stdout, client.stdout],
      [command.stderr, client.stderr],
    ] as const
  ).map(async ([from, to]) => {
    if (from === undefined || to === undefined) return;
    from.pipe(to, { end: false });
    await finished(from, { writable: false }).catch(() => undefined);
  });
  const status = await command.status;
  await Promise.all(outputs);
  return status;
}

/**
 * Joins a port-forward request to the kubelet. SPDY inside WebSocket messages is unwrapped for kubelets that know
 * plain SPDY only.
 */
export async function streamPorts(request: ApiRequest, backend: Backend): Promise<void> {
  const refused = await askAsItCame(request, backend, TUNNEL_PROTOCOL);
  if (refused === undefined) return;
  refused.socket.destroy();
  const { exchange } = request;
  const headers = { ...spdyHeaders(request, backend), "x-stream-protocol-version": "portforward.k8s.io" };
  const dialed = await dialUpgrade(backend, "POST", headers, request.signal);
  const client = exchange.upgrade!.socket;
  if (dialed.answer.status !== 101) return joinUpgrade(exchange.upgrade!, dialed);
  const { acceptPortForwardTunnel, joinConnections } = await import("@coracle/client/streaming");
  const tunnel: Duplex | undefined = await acceptPortForwardTunnel(
    handshakeOf(request),
    client,
    exchange.upgrade!.head,
  );
  if (tunnel === undefined) {
    dialed.socket.destroy();
    return undefined;
  }
  if (dialed.answer.rest.length > 0) tunnel.write(dialed.answer.rest);
  return await joinConnections(tunnel, dialed.socket);
}
