import type { Duplex } from "node:stream";
import { systemClock, type Clock } from "@coracle/base";
import { Http2Connection } from "./connection.ts";
import { DEFAULT_LIMITS, type Http2Limits } from "./limits.ts";
import { FlushTurn } from "./output.ts";
import type { Http2Stream } from "./stream.ts";

export interface Http2ServerOptions {
  /** A request has come: its listener has to be set at once. */
  readonly onStream: (stream: Http2Stream, connection: Http2Connection) => void;
  readonly limits?: Partial<Http2Limits> | undefined;
  /** Absent: the host's, since connections go on when a test's clock stands still. */
  readonly clock?: Clock | undefined;
}

/** Speaks HTTP/2 on sockets that others accept. */
export interface Http2Server {
  /** Takes a socket whose other end speaks HTTP/2; `onClose`: when the connection is gone. */
  accept(socket: Duplex, onClose?: (reason: Error | undefined) => void): Http2Connection;
}

export function createHttp2Server(options: Http2ServerOptions): Http2Server {
  const limits: Http2Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const clock = options.clock ?? systemClock;
  const turn = new FlushTurn();
  let second = 0;
  let date = "";
  const dateOf = (): string => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) {
      second = now;
      date = new Date(now * 1000).toUTCString();
    }
    return date;
  };
  const { onStream } = options;
  return {
    accept(socket, onClose) {
      const connection: Http2Connection = new Http2Connection(socket, {
        role: "server",
        limits,
        clock,
        turn,
        dateOf,
        onStream: (stream) => onStream(stream, connection),
        onClose,
      });
      return connection;
    },
  };
}
