import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { systemClock, type Clock, type Timer } from "@coracle/base";
import { negotiateSpdy } from "./remote-command-spdy.ts";
import { SpdySession, type SpdyStream } from "./spdy-session.ts";
import { headerValues, joinConnections } from "./upgrade.ts";
import { acceptWebSocket } from "./websocket.ts";

const PORT_FORWARD = "portforward.k8s.io";
const TUNNEL = "SPDY/3.1+portforward.k8s.io";
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
const STREAM_CREATION_TIMEOUT_MS = 30_000;

/** Connects to a port of the pod. A rejection is told to the client. */
export type PortForwardConnect = (port: number, signal: AbortSignal) => Promise<Duplex>;

export interface PortForwardOptions {
  readonly clock?: Clock | undefined;
  /** How an error is introduced, before the port's number: `error forwarding port` unless told. */
  readonly describeError?: ((port: number, error: Error) => string) | undefined;
}

/**
 * Serves one port-forward request, after its authorisation, on the connection of an `upgrade` event: SPDY/3.1, plain or tunnelled in
 * WebSocket messages. Resolves when the client is gone.
 */
export async function servePortForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  connect: PortForwardConnect,
  options: PortForwardOptions = {},
): Promise<void> {
  socket.on("error", () => socket.destroy());
  const connection = await openConnection(request, socket, head);
  if (connection === undefined) return;
  const gone = new AbortController();
  const clock = options.clock ?? systemClock;
  const pairs = new Map<string, { error?: SpdyStream; data?: SpdyStream; readonly timer: Timer }>();
  const session = new SpdySession(connection, {
    role: "server",
    accept: (headers) =>
      ["error", "data"].includes(headers.get("streamtype") ?? "") && portOf(headers.get("port")) !== undefined,
    onStream: (stream) => {
      const id = stream.headers.get("requestid") ?? legacyRequestId(stream);
      let pair = pairs.get(id);
      if (pair === undefined) {
        const timer = clock.after(STREAM_CREATION_TIMEOUT_MS, () => {
          const late = pairs.get(id);
          pairs.delete(id);
          late?.error?.end(`timeout waiting for ${late.data === undefined ? "data" : "error"} stream`);
          late?.data?.destroy();
        });
        pair = { timer };
        pairs.set(id, pair);
      }
      pair[stream.headers.get("streamtype") === "error" ? "error" : "data"] = stream;
      if (pair.error === undefined || pair.data === undefined) return;
      pair.timer[Symbol.dispose]();
      pairs.delete(id);
      const port = portOf(stream.headers.get("port")) ?? 0;
      forward(pair.error, pair.data, port, connect, gone.signal, options).catch(() => undefined);
    },
  });
  await session.closed;
  for (const pair of pairs.values()) pair.timer[Symbol.dispose]();
  gone.abort(new DOMException("the client is gone", "AbortError"));
}

/** Completes a WebSocket handshake for SPDY in messages, and gives the bytes inside; undefined when it was refused. */
export async function acceptPortForwardTunnel(
  request: Pick<IncomingMessage, "headers" | "method">,
  socket: Duplex,
  head: Buffer,
): Promise<Duplex | undefined> {
  const webSocket = await acceptWebSocket(request as IncomingMessage, socket, head, [TUNNEL], MAX_MESSAGE_BYTES);
  if (webSocket === undefined) return undefined;
  const { createWebSocketStream } = await import("ws");
  return createWebSocketStream(webSocket);
}

async function openConnection(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Duplex | undefined> {
  if (headerValues(request, "upgrade").some((value) => value.toLowerCase() === "websocket"))
    return await acceptPortForwardTunnel(request, socket, head);
  if (negotiateSpdy(request, socket, [PORT_FORWARD]) === undefined) return undefined;
  if (head.length > 0) socket.unshift(head);
  return socket;
}

/** Old clients send no request id: their streams come in pairs, error first. */
function legacyRequestId(stream: SpdyStream): string {
  return String(stream.headers.get("streamtype") === "error" ? stream.id : stream.id - 2);
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

async function forward(
  error: SpdyStream,
  data: SpdyStream,
  port: number,
  connect: PortForwardConnect,
  signal: AbortSignal,
  options: PortForwardOptions,
): Promise<void> {
  error.resume();
  let target: Duplex;
  try {
    target = await connect(port, signal);
  } catch (cause) {
    const failure = cause instanceof Error ? cause : new Error(String(cause));
    error.end(options.describeError?.(port, failure) ?? `error forwarding port ${port}: ${failure.message}`);
    data.end();
    data.resume();
    return;
  }
  await joinConnections(data, target);
  if (!error.writableEnded && !error.destroyed) error.end();
}
