import { randomBytes } from "node:crypto";
import type { OutgoingHttpHeaders } from "node:http";
import type { RequestOptions } from "node:https";
import { PassThrough, Writable, type Duplex, type Readable } from "node:stream";
import type { Status } from "@coracle/api/meta/v1";
import type { RawData, WebSocket } from "ws";
import type { RemoteCommandStreams } from "./remote-command.ts";
import { SpdySession, type SpdyStream } from "./spdy-session.ts";
import type { TerminalSize } from "./terminal-sizes.ts";
import { requestUpgrade } from "./upgrade.ts";

export interface StreamTarget {
  readonly url: URL;
  /** `spdy` serves servers from before WebSocket streaming, too. */
  readonly transport: "websocket" | "spdy";
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** TLS settings. */
  readonly connection?: RequestOptions | undefined;
}

/** A command running at the other end. */
export interface RemoteCommand {
  /** End it to close the command's standard input. */
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  /** How the command ended, as the server reported it; rejects when the connection broke before. */
  readonly status: Promise<Status>;
  resize(size: TerminalSize): void;
  /** Breaks the connection off. */
  close(): void;
}

async function dialSpdy(target: StreamTarget, protocols: readonly string[]): Promise<Duplex> {
  const { socket } = await requestUpgrade({
    url: target.url,
    method: "POST",
    headers: {
      ...target.headers,
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": [...protocols],
    },
    connection: target.connection,
  });
  return socket;
}

async function dialWebSocket(target: StreamTarget, protocol: string): Promise<WebSocket> {
  const { default: WebSocketClient } = await import("ws");
  // Offering the protocol ourselves: the library refuses names with a slash.
  const { socket } = await requestUpgrade({
    url: target.url,
    method: "GET",
    headers: {
      ...target.headers,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      "sec-websocket-protocol": protocol,
    },
    connection: target.connection,
  });
  return adoptSocket(WebSocketClient, socket);
}

type Adoptable = new (address: null, protocols: undefined, options: { readonly autoPong: boolean }) => WebSocket;

/** A client-side WebSocket on a connection whose handshake is done. */
function adoptSocket(constructor: typeof WebSocket, socket: Duplex): WebSocket {
  interface Adopting {
    setSocket(socket: Duplex, head: Buffer, options: Readonly<Record<string, unknown>>): void;
    _isServer: boolean;
  }
  const webSocket = new (constructor as unknown as Adoptable)(null, undefined, { autoPong: true });
  const inner = webSocket as unknown as Adopting;
  inner._isServer = false;
  inner.setSocket(socket, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false });
  return webSocket;
}

/** Starts the command that the URL names (an exec or attach endpoint) with the given streams. */
export async function connectRemoteCommand(
  target: StreamTarget,
  streams: RemoteCommandStreams,
): Promise<RemoteCommand> {
  return target.transport === "spdy" ? spdyCommand(target, streams) : webSocketCommand(target, streams);
}

async function spdyCommand(target: StreamTarget, streams: RemoteCommandStreams): Promise<RemoteCommand> {
  const session = new SpdySession(await dialSpdy(target, ["v5.channel.k8s.io", "v4.channel.k8s.io"]), {
    role: "client",
  });
  const open = (streamType: string): Promise<SpdyStream> => session.open(new Map([["streamtype", streamType]]));
  const error = await open("error");
  const stdin = streams.stdin ? await open("stdin") : undefined;
  const stdout = streams.stdout ? await open("stdout") : undefined;
  const stderr = streams.stderr && !streams.tty ? await open("stderr") : undefined;
  const resize = streams.tty ? await open("resize") : undefined;
  stdin?.resume();
  for (const stream of [error, stdout, stderr]) stream?.end();
  const status = (async (): Promise<Status> => {
    const parts: Buffer[] = [];
    for await (const part of error) parts.push(part as Buffer);
    return JSON.parse(Buffer.concat(parts).toString("utf8")) as Status;
  })();
  status.catch(() => undefined);
  return {
    stdin,
    stdout,
    stderr,
    status,
    resize: ({ width, height }) => void resize?.write(JSON.stringify({ Width: width, Height: height })),
    close: () => session.close(),
  };
}

async function webSocketCommand(target: StreamTarget, streams: RemoteCommandStreams): Promise<RemoteCommand> {
  const webSocket = await dialWebSocket(target, "v5.channel.k8s.io");
  const stdout = streams.stdout ? new PassThrough() : undefined;
  const stderr = streams.stderr && !streams.tty ? new PassThrough() : undefined;
  const stdin = streams.stdin
    ? new Writable({
        write: (chunk: Buffer, _encoding, done) => webSocket.send(Buffer.concat([Buffer.from([0]), chunk]), done),
        final: (done) => webSocket.send(Buffer.from([255, 0]), done),
      })
    : undefined;
  stdin?.on("error", () => {});
  const status = new Promise<Status>((resolve, reject) => {
    webSocket.on("message", (data: RawData) => {
      const message = data as Buffer;
      const output = message[0] === 1 ? stdout : message[0] === 2 ? stderr : undefined;
      if (output !== undefined && message.length > 1 && !output.write(message.subarray(1))) {
        webSocket.pause();
        output.once("drain", () => webSocket.resume());
      } else if (message[0] === 3 && message.length > 1) resolve(JSON.parse(message.toString("utf8", 1)) as Status);
    });
    webSocket.on("error", reject);
    webSocket.once("close", () => {
      stdout?.end();
      stderr?.end();
      reject(new Error("the connection was closed before the command's end"));
    });
  });
  status.catch(() => undefined);
  return {
    stdin,
    stdout,
    stderr,
    status,
    resize: ({ width, height }) => {
      const text = JSON.stringify({ Width: width, Height: height });
      webSocket.send(Buffer.concat([Buffer.from([4]), Buffer.from(text)]));
    },
    close: () => webSocket.terminate(),
  };
}

/** Connections to ports of a pod over one port-forward request. */
export interface PortForwardClient {
  /** Opens one connection; `error` resolves with what the server says went wrong, or with "" when nothing did. */
  connect(port: number): Promise<{ readonly data: Duplex; readonly error: Promise<string> }>;
  close(): void;
}

/** Opens a port-forward session at the URL (a portforward endpoint). */
export async function connectPortForward(target: StreamTarget): Promise<PortForwardClient> {
  let connection: Duplex;
  if (target.transport === "spdy") connection = await dialSpdy(target, ["portforward.k8s.io"]);
  else {
    const webSocket = await dialWebSocket(target, "SPDY/3.1+portforward.k8s.io");
    const { createWebSocketStream } = await import("ws");
    connection = createWebSocketStream(webSocket);
  }
  const session = new SpdySession(connection, { role: "client" });
  let requests = 0;
  return {
    async connect(port) {
      const requestId = String(requests++);
      const headers = (streamType: string): Map<string, string> =>
        new Map([
          ["streamtype", streamType],
          ["port", String(port)],
          ["requestid", requestId],
        ]);
      const errorStream = await session.open(headers("error"));
      errorStream.end();
      const error = (async (): Promise<string> => {
        const parts: Buffer[] = [];
        for await (const part of errorStream) parts.push(part as Buffer);
        return Buffer.concat(parts).toString("utf8");
      })();
      error.catch(() => undefined);
      return { data: await session.open(headers("data")), error };
    },
    close: () => session.close(),
  };
}
