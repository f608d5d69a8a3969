import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Clock, Random } from "@coracle/base";

/** Asks an outside server. */
export interface Forwarder {
  /** The raw answer (with the question's id), or undefined when no server answered in time. */
  forward(query: Buffer, overTcp: boolean): Promise<Buffer | undefined>;
}

export interface ForwarderOptions {
  /** Addresses, tried in order from a random start; `ADDRESS` or `ADDRESS#PORT`. */
  readonly servers: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  /** Per server. */
  readonly timeoutMs?: number;
  /** Questions under way at once; more are refused. */
  readonly maxInFlight?: number;
}

/** Forwards over UDP from a fresh port each time (the port is part of the defence against forged answers), or TCP. */
export function createForwarder(options: ForwarderOptions): Forwarder {
  const { servers, clock, random, timeoutMs = 2000, maxInFlight = 1000 } = options;
  let inFlight = 0;
  return {
    async forward(query, overTcp) {
      if (servers.length === 0 || inFlight >= maxInFlight) return undefined;
      inFlight++;
      try {
        const start = Math.floor(random.next() * servers.length);
        for (let i = 0; i < Math.min(servers.length, 3); i++) {
          const server = servers[(start + i) % servers.length] ?? "";
          const answer = await (overTcp ? askTcp : askUdp)(server, query, clock, timeoutMs);
          if (answer !== undefined) return answer;
        }
        return undefined;
      } finally {
        inFlight--;
      }
    },
  };
}

function endpoint(server: string): { address: string; port: number } {
  const [address = "", port] = server.split("#");
  return { address, port: port === undefined ? 53 : Number(port) };
}

function askUdp(server: string, query: Buffer, clock: Clock, timeoutMs: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const { address, port } = endpoint(server);
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const finish = (answer: Buffer | undefined): void => {
      timer[Symbol.dispose]();
      socket.close();
      resolve(answer);
    };
    const timer = clock.after(timeoutMs, () => finish(undefined));
    socket.once("error", () => finish(undefined));
    socket.on("message", (message) => {
      if (message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0)) finish(message);
    });
    // Connected: the kernel drops datagrams of others. Without a route the callback is told so, and nobody else.
    const onConnect = (error?: Error): void => {
      if (error instanceof Error) finish(undefined);
      else socket.send(query);
    };
    socket.connect(port, address, onConnect as () => void);
  });
}

function askTcp(server: string, query: Buffer, clock: Clock, timeoutMs: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const { address, port } = endpoint(server);
    const socket = connect({ host: address, port });
    let received = Buffer.alloc(0);
    const finish = (answer: Buffer | undefined): void => {
      timer[Symbol.dispose]();
      socket.destroy();
      resolve(answer);
    };
    const timer = clock.after(timeoutMs, () => finish(undefined));
    socket.once("error", () => finish(undefined));
    socket.once("close", () => finish(undefined));
    const head = Buffer.alloc(2);
    head.writeUInt16BE(query.length);
    socket.write(Buffer.concat([head, query]));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0))
        finish(received.subarray(2, 2 + received.readUInt16BE(0)));
    });
  });
}
