import {
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
} from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import type { Duplex } from "node:stream";

/** Answers an upgrade request with a plain HTTP error and ends the connection. */
export function refuseUpgrade(socket: Duplex, code: number, phrase: string, message: string): void {
  if (!socket.writable) return;
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${code} ${phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Values of a header that may come as a list or several times. */
export function headerValues(request: IncomingMessage, name: string): string[] {
  const value = request.headers[name];
  const text = Array.isArray(value) ? value.join(",") : (value ?? "");
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

export interface UpgradedConnection {
  readonly socket: Duplex;
  readonly response: IncomingMessage;
}

/** A peer that answered an upgrade request with an ordinary response. */
export class UpgradeRefusedError extends Error {
  override readonly name = "UpgradeRefusedError";
  readonly code: number;
  readonly body: string;
  constructor(code: number, body: string) {
    super(body.trim() === "" ? `the upgrade was refused with status ${code}` : body.trim());
    this.code = code;
    this.body = body;
  }
}

export interface UpgradeRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  /** TLS and agent settings. */
  readonly connection?: RequestOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends an upgrade request and resolves with the raw connection once the peer has switched protocols. */
export function requestUpgrade(options: UpgradeRequest): Promise<UpgradedConnection> {
  const send = options.url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(options.url, {
      ...options.connection,
      agent: false,
      method: options.method,
      headers: options.headers,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    request.once("error", reject);
    request.once("upgrade", (response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve({ socket, response });
    });
    request.once("response", (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size <= 65_536) parts.push(part);
      });
      response.once("error", reject);
      response.once("end", () =>
        reject(new UpgradeRefusedError(response.statusCode ?? 500, Buffer.concat(parts).toString("utf8"))),
      );
    });
    request.end();
  });
}

/** Request headers that the upgrade itself needs; nothing else of a client travels on (credentials least of all). */
const FORWARDED = [
  "connection",
  "upgrade",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-protocol",
  "sec-websocket-extensions",
  "x-stream-protocol-version",
  "user-agent",
] as const;

/**
 * Passes an upgrade request on to `target.url` and joins the two connections, whatever protocol they then speak. Resolves
 * when both are closed. A refusal of the target is handed to the client as it came.
 */
export async function tunnelUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  target: {
    readonly url: URL;
    readonly headers?: OutgoingHttpHeaders | undefined;
    readonly connection?: RequestOptions | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const headers: Record<string, OutgoingHttpHeader | undefined> = { ...target.headers };
  for (const name of FORWARDED) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  let peer: UpgradedConnection;
  try {
    peer = await requestUpgrade({ ...target, method: request.method ?? "GET", headers });
  } catch (error) {
    if (error instanceof UpgradeRefusedError) refuseUpgrade(socket, error.code, "Error", error.body.trim());
    else refuseUpgrade(socket, 502, "Bad Gateway", error instanceof Error ? error.message : String(error));
    return;
  }
  if (!socket.writable) {
    peer.socket.destroy();
    return;
  }
  socket.write(switchingProtocols(peer.response.rawHeaders));
  if (head.length > 0) peer.socket.write(head);
  await joinConnections(socket, peer.socket);
}

/** The 101 answer with the given header lines (name, value, name, value …). */
export function switchingProtocols(rawHeaders: readonly string[]): string {
  let text = "HTTP/1.1 101 Switching Protocols\r\n";
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  return `${text}\r\n`;
}

/** Copies both ways with back-pressure, passing half-closes on; resolves when both ends are closed. */
export function joinConnections(a: Duplex, b: Duplex): Promise<void> {
  return new Promise((resolve) => {
    let open = 2;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.once("close", () => {
        if (!from.readableEnded) to.destroy();
        else if (!to.writableEnded) to.end();
        open -= 1;
        if (open === 0) resolve();
      });
      if (from.destroyed) {
        to.destroy();
        open -= 1;
      }
    }
    if (open === 0) resolve();
  });
}
