import { createSocket } from "node:dgram";
import { createServer, type Socket } from "node:net";
import { Cleanup } from "@coracle/base";
import type { Responder } from "./responder.ts";

/** Longest silence on a TCP connection. */
const IDLE_MS = 10_000;
const MAX_TCP_CONNECTIONS = 200;

export interface DnsListeners extends AsyncDisposable {
  readonly port: number;
}

/** Serves DNS over UDP and TCP at one address and port (0: any). */
export async function listenDns(address: string, port: number, respond: Responder): Promise<DnsListeners> {
  const cleanup = new Cleanup();
  const tcp = createServer({ noDelay: true }, (socket) => serveStream(socket, respond));
  tcp.maxConnections = MAX_TCP_CONNECTIONS;
  const open = new Set<Socket>();
  tcp.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => tcp.once("error", reject).listen(port, address, resolve));
  cleanup.add(
    () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        tcp.close(() => resolve());
      }),
  );
  const bound = (tcp.address() as { port: number }).port;
  const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => udp.once("error", reject).bind(bound, address, resolve));
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
  cleanup.add(() => new Promise((resolve) => udp.close(() => resolve())));
  udp.on("error", () => {}); // an unreachable client is its own business
  udp.on("message", (message, from) => {
    respond(message, "udp").then(
      (answer) => {
        if (answer !== undefined) udp.send(answer, from.port, from.address, () => {});
      },
      () => {},
    );
  });
  return { port: bound, [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose]() };
}

/** Messages of a stream are preceded by their length in two bytes (RFC 1035, 4.2.2), and answered in order. */
function serveStream(socket: Socket, respond: Responder): void {
  let received = Buffer.alloc(0);
  let last = Promise.resolve();
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const message = received.subarray(2, 2 + received.readUInt16BE(0));
      received = received.subarray(2 + message.length);
      last = last.then(async () => {
        const answer = await respond(message, "tcp");
        if (answer === undefined || socket.destroyed) return;
        const head = Buffer.alloc(2);
        head.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([head, answer]));
      });
      last.catch(() => socket.destroy());
    }
  });
}
