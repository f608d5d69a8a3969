import type { Duplex } from "node:stream";
import { systemClock, type Clock } from "@coracle/base";
import { Http2Connection } from "./connection.ts";
import { DEFAULT_LIMITS, type Http2Limits } from "./limits.ts";
import { FlushTurn } from "./output.ts";

export interface Http2ClientOptions {
  readonly limits?: Partial<Http2Limits> | undefined;
  /** Absent: the host's. */
  readonly clock?: Clock | undefined;
}

/** What a client wants to hear of a connection. */
export interface ClientConnectionEvents {
  /** It is gone; with a reason when it broke off. */
  readonly onClose?: ((reason: Error | undefined) => void) | undefined;
  /** The server takes no new requests on it. */
  readonly onGoaway?: (() => void) | undefined;
}

/** Makes requests by HTTP/2 on sockets that others connect. */
export interface Http2Client {
  /** Begins on a socket, which may still be connecting. */
  begin(socket: Duplex, events?: ClientConnectionEvents): Http2Connection;
}

export function createHttp2Client(options: Http2ClientOptions = {}): Http2Client {
  const limits: Http2Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const clock = options.clock ?? systemClock;
  const turn = new FlushTurn();
  return {
    begin: (socket, events = {}) => new Http2Connection(socket, { role: "client", limits, clock, turn, ...events }),
  };
}
