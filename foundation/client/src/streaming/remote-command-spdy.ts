import type { IncomingMessage } from "node:http";
import type { Duplex, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Clock } from "@coracle/base";
import type { RemoteCommandChannels, RemoteCommandStreams } from "./remote-command.ts";
import { SpdySession, type SpdyStream } from "./spdy-session.ts";
import { TerminalSizes } from "./terminal-sizes.ts";
import { headerValues, refuseUpgrade, switchingProtocols } from "./upgrade.ts";

const VERSIONS = ["v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const STREAM_CREATION_TIMEOUT_MS = 30_000;
const MAX_SIZE_TEXT = 4_096;

/** Picks the first version a client offers that we speak; no offer means the unversioned protocol. */
export function negotiateSpdy(
  request: IncomingMessage,
  socket: Duplex,
  supported: readonly string[],
): string | undefined {
  if ((request.headers.upgrade ?? "").toLowerCase() !== "spdy/3.1") {
    refuseUpgrade(
      socket,
      400,
      "Bad Request",
      `unable to upgrade: missing upgrade headers in request: ${JSON.stringify(request.headers)}`,
    );
    return undefined;
  }
  const offered = headerValues(request, "x-stream-protocol-version");
  const version = offered.length === 0 ? "" : offered.find((name) => supported.includes(name));
  if (version === undefined) {
    const sets = `client supports [${offered.join(" ")}], server accepts [${supported.join(" ")}]`;
    refuseUpgrade(socket, 403, "Forbidden", `unable to upgrade: unable to negotiate protocol: ${sets}`);
    return undefined;
  }
  socket.write(
    switchingProtocols([
      "Connection",
      "Upgrade",
      "Upgrade",
      "SPDY/3.1",
      ...(version === "" ? [] : ["X-Stream-Protocol-Version", version]),
    ]),
  );
  return version;
}

/** Opens the streams that a SPDY client makes for a command; undefined when it was refused or did not make them in time. */
export async function openSpdyChannels(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: RemoteCommandStreams,
  clock: Clock,
): Promise<RemoteCommandChannels | undefined> {
  const version = negotiateSpdy(request, socket, VERSIONS);
  if (version === undefined) return undefined;
  if (head.length > 0) socket.unshift(head);
  const hasResize = wanted.tty && /^v[345]\./.test(version);
  const expected = new Set(["error"]);
  for (const name of ["stdin", "stdout", "stderr"] as const) if (wanted[name]) expected.add(name);
  if (hasResize) expected.add("resize");

  const streams = new Map<string, SpdyStream>();
  let complete: (isComplete: boolean) => void = () => {};
  const isComplete = new Promise<boolean>((resolve) => (complete = resolve));
  const session = new SpdySession(socket, {
    role: "server",
    accept: (headers) => {
      const type = headers.get("streamtype") ?? "";
      return expected.has(type) && !streams.has(type);
    },
    onStream: (stream) => {
      streams.set(stream.headers.get("streamtype") ?? "", stream);
      if (streams.size === expected.size) complete(true);
    },
  });
  const timer = clock.after(STREAM_CREATION_TIMEOUT_MS, () => complete(false));
  const gone = new AbortController();
  void session.closed.then(() => {
    complete(false);
    gone.abort(new DOMException("the client is gone", "AbortError"));
  });
  const isReady = await isComplete;
  timer[Symbol.dispose]();
  if (!isReady) {
    socket.destroy();
    return undefined;
  }
  const stdout = streams.get("stdout");
  const stderr = streams.get("stderr");
  // What a client sends where nothing is expected must not stop the session.
  for (const output of [stdout, stderr, streams.get("error")]) output?.resume();
  return {
    stdin: streams.get("stdin"),
    stdout,
    stderr,
    tty: wanted.tty,
    resize: readSizes(streams.get("resize")),
    signal: gone.signal,
    async finish(status) {
      const isPlain = !/^v[45]\./.test(version);
      const text = isPlain
        ? status.status === "Success"
          ? ""
          : `error executing remote command: ${status.message ?? ""}`
        : JSON.stringify(status);
      const error = streams.get("error");
      await Promise.all([stdout, stderr].map(ended));
      if (text !== "") error?.write(text);
      await ended(error);
      streams.get("stdin")?.destroy();
      session.close();
    },
  };
}

async function ended(stream: Writable | undefined): Promise<void> {
  if (stream === undefined || stream.destroyed) return;
  stream.end();
  // The client may be gone: nobody is left to tell.
  await finished(stream, { readable: false }).catch(() => undefined);
}

function readSizes(stream: SpdyStream | undefined): TerminalSizes {
  const sizes = new TerminalSizes();
  if (stream === undefined) {
    sizes.end();
    return sizes;
  }
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    for (let end = text.indexOf("}"); end >= 0; end = text.indexOf("}")) {
      sizes.offer(text.slice(0, end + 1));
      text = text.slice(end + 1);
    }
    if (text.length > MAX_SIZE_TEXT) text = "";
  });
  stream.once("close", () => sizes.end());
  stream.once("end", () => sizes.end());
  return sizes;
}
