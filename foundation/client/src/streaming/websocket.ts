import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { headerValues, refuseUpgrade } from "./upgrade.ts";

/**
 * Completes a WebSocket handshake with the first of `protocols` that the client offers. A client that offers none gets the
 * unversioned protocol; one that offers only others is refused (clients then fall back to SPDY).
 */
export async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocols: readonly string[],
  maxPayload: number,
): Promise<WebSocket | undefined> {
  const { WebSocketServer } = await import("ws");
  const offered = headerValues(request, "sec-websocket-protocol");
  const protocol = offered.length === 0 ? "" : protocols.find((name) => offered.includes(name));
  if (protocol === undefined) {
    refuseUpgrade(
      socket,
      400,
      "Bad Request",
      `unable to upgrade: none of the protocols [${offered.join(" ")}] is served`,
    );
    return undefined;
  }
  // The library takes only token characters in a protocol name, and ours contain a slash: answer for it.
  delete request.headers["sec-websocket-protocol"];
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload, clientTracking: false });
  server.on("headers", (lines) => {
    if (protocol !== "") lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  });
  server.on("wsClientError", (error, client) => refuseUpgrade(client, 400, "Bad Request", error.message));
  return await new Promise<WebSocket | undefined>((resolve) => {
    socket.once("close", () => resolve(undefined));
    server.handleUpgrade(request, socket, head, (webSocket) => {
      Object.defineProperty(webSocket, "protocol", { value: protocol });
      resolve(webSocket);
    });
  });
}
