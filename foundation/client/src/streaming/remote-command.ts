import type { IncomingMessage } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { systemClock, type Clock } from "@coracle/base";
import { StatusError } from "@coracle/apimachinery";
import type { Status } from "@coracle/api/meta/v1";
import { openSpdyChannels } from "./remote-command-spdy.ts";
import { openWebSocketChannels } from "./remote-command-websocket.ts";
import type { TerminalSize } from "./terminal-sizes.ts";
import { headerValues, refuseUpgrade } from "./upgrade.ts";

/** Which streams a client asked for. */
export interface RemoteCommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** A client at the other end of a command. Streams that it did not ask for are absent. */
export interface RemoteCommandSession {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  /** Absent with a terminal. */
  readonly stderr: Writable | undefined;
  readonly tty: boolean;
  /** Terminal sizes as the client changes them; ends with the connection. */
  readonly resize: AsyncIterable<TerminalSize>;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/**
 * Runs the command, or has it run by somebody who reports a Status. Resolves after its last output was written to the streams (ending them is allowed, not needed); a rejection is
 * told to the client as an error that is not the command's own.
 */
export type RemoteCommandStart = (
  session: RemoteCommandSession,
) => Promise<{ readonly exitCode: number } | { readonly status: Status }>;

/** The two transports' common form: streams, and the way to end. */
export interface RemoteCommandChannels extends RemoteCommandSession {
  /** Ends the output, reports `status` and closes the connection. */
  finish(status: Status): Promise<void>;
}

export interface RemoteCommandOptions {
  /** Absent: what the request's query says. */
  readonly streams?: RemoteCommandStreams | undefined;
  readonly clock?: Clock | undefined;
  /** How an error of `start` is introduced; `error executing command in container` unless told. */
  readonly errorPrefix?: string | undefined;
}

/** The streams that a URL asks for, in the API server's names (stdin, stdout …) or the kubelet's (input, output …). */
export function remoteCommandStreams(url: URL): RemoteCommandStreams {
  const query = url.searchParams;
  const asked = (...names: readonly string[]): boolean =>
    names.some((name) => ["1", "true"].includes(query.get(name) ?? ""));
  const tty = asked("tty");
  return {
    stdin: asked("stdin", "input"),
    stdout: asked("stdout", "output"),
    // With a terminal there is one output only.
    stderr: asked("stderr", "error") && !tty,
    tty,
  };
}

/**
 * Serves one exec or attach request, after its authorisation, on the connection of an `upgrade` event: WebSocket
 * (v5, v4 and unversioned channel protocols, binary and base64) and SPDY/3.1 (v5 to v1). Resolves when the client has its answer; failures to
 * agree on a protocol are answered, not thrown.
 */
export async function serveRemoteCommand(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  start: RemoteCommandStart,
  options: RemoteCommandOptions = {},
): Promise<void> {
  const streams = options.streams ?? remoteCommandStreams(new URL(request.url ?? "/", "http://localhost"));
  socket.on("error", () => socket.destroy());
  if (!streams.stdin && !streams.stdout && !streams.stderr) {
    refuseUpgrade(socket, 400, "Bad Request", "you must specify at least 1 of stdin, stdout, stderr");
    return;
  }
  const clock = options.clock ?? systemClock;
  const channels = isUpgradeTo(request, "websocket")
    ? await openWebSocketChannels(request, socket, head, streams)
    : await openSpdyChannels(request, socket, head, streams, clock);
  if (channels === undefined) return;
  let status: Status;
  try {
    const outcome = await start(channels);
    status = "status" in outcome ? outcome.status : exitStatus(outcome.exitCode);
  } catch (error) {
    const prefix = options.errorPrefix ?? "error executing command in container";
    const message = error instanceof Error ? error.message : String(error);
    status = StatusError.from(new Error(`${prefix}: ${message}`)).status;
  }
  await channels.finish(status);
}

function isUpgradeTo(request: IncomingMessage, protocol: string): boolean {
  return headerValues(request, "upgrade").some((value) => value.toLowerCase() === protocol);
}

function exitStatus(exitCode: number): Status {
  if (exitCode === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: command terminated with exit code ${exitCode}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  };
}
