import type { IncomingMessage } from "node:http";
import { Readable, Writable, type Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import type { RawData, WebSocket } from "ws";
import type { RemoteCommandChannels, RemoteCommandStreams } from "./remote-command.ts";
import { TerminalSizes } from "./terminal-sizes.ts";
import { acceptWebSocket } from "./websocket.ts";

const PROTOCOLS = [
  "v5.channel.k8s.io",
  "v5.base64.channel.k8s.io",
  "v4.channel.k8s.io",
  "v4.base64.channel.k8s.io",
  "channel.k8s.io",
  "base64.channel.k8s.io",
];
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
/** Version 5: the byte after it names a channel that the sender will not use any more. */
const CLOSE = 255;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Output waits while this much is unsent. */
const MAX_UNSENT_BYTES = 262_144;

/** Takes the upgrade and splits the messages into a command's streams; undefined when it was refused. */
export async function openWebSocketChannels(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: RemoteCommandStreams,
): Promise<RemoteCommandChannels | undefined> {
  const webSocket = await acceptWebSocket(request, socket, head, PROTOCOLS, MAX_MESSAGE_BYTES);
  if (webSocket === undefined) return undefined;
  const isBase64 = webSocket.protocol.includes("base64");
  const sizes = new TerminalSizes();
  const gone = new AbortController();
  const stdin = wanted.stdin ? new Readable({ read: () => webSocket.resume() }) : undefined;
  stdin?.on("error", () => {});

  webSocket.on("message", (data: RawData) => {
    const message = decode(data as Buffer, isBase64);
    const channel = message[0];
    if (channel === STDIN && message.length > 1) {
      if (stdin !== undefined && !stdin.destroyed && !stdin.push(message.subarray(1))) webSocket.pause();
    } else if (channel === RESIZE) sizes.offer(message.toString("utf8", 1));
    else if (channel === CLOSE && message[1] === STDIN && webSocket.protocol.startsWith("v5.")) stdin?.push(null);
  });
  webSocket.on("error", () => webSocket.terminate());
  webSocket.once("close", () => {
    if (stdin !== undefined && !stdin.readableEnded) stdin.push(null);
    sizes.end();
    gone.abort(new DOMException("the client is gone", "AbortError"));
  });

  const output = (channel: number, isWanted: boolean): Writable | undefined =>
    isWanted ? channelWriter(webSocket, channel, isBase64) : undefined;
  const stdout = output(STDOUT, wanted.stdout);
  const stderr = output(STDERR, wanted.stderr);
  // Clients learn from the first, empty messages that the channels are open.
  for (const [channel, isOpen] of [
    [STDOUT, wanted.stdout],
    [STDERR, wanted.stderr],
    [ERROR, true],
  ] as const) {
    if (isOpen && !webSocket.protocol.startsWith("v5.")) webSocket.send(encode(channel, Buffer.alloc(0), isBase64));
  }
  return {
    stdin,
    stdout,
    stderr,
    tty: wanted.tty,
    resize: sizes,
    signal: gone.signal,
    async finish(status) {
      for (const stream of [stdout, stderr]) {
        if (stream === undefined || stream.destroyed) continue;
        stream.end();
        await finished(stream).catch(() => undefined);
      }
      if (webSocket.readyState !== webSocket.OPEN) return;
      const isVersioned = /^v[45]\./.test(webSocket.protocol);
      const text = isVersioned ? JSON.stringify(status) : status.status === "Success" ? "" : (status.message ?? "");
      if (text !== "") webSocket.send(encode(ERROR, Buffer.from(text), isBase64));
      // A paused socket would never see the client's own close.
      stdin?.destroy();
      webSocket.resume();
      webSocket.close(1000);
    },
  };
}

function channelWriter(webSocket: WebSocket, channel: number, isBase64: boolean): Writable {
  const writer = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (webSocket.readyState !== webSocket.OPEN) {
        done(new Error("the connection is closed"));
        return;
      }
      const message = encode(channel, chunk, isBase64);
      if (webSocket.bufferedAmount < MAX_UNSENT_BYTES) {
        webSocket.send(message);
        done();
      } else webSocket.send(message, done);
    },
  });
  writer.on("error", () => {});
  return writer;
}

function encode(channel: number, payload: Buffer, isBase64: boolean): Buffer | string {
  if (isBase64) return `${channel}${payload.toString("base64")}`;
  const message = Buffer.allocUnsafe(payload.length + 1);
  message[0] = channel;
  payload.copy(message, 1);
  return message;
}

function decode(message: Buffer, isBase64: boolean): Buffer {
  if (!isBase64 || message.length === 0) return message;
  const channel = message[0]! - 0x30;
  return Buffer.concat([Buffer.from([channel & 0xff]), Buffer.from(message.toString("latin1", 1), "base64")]);
}
