import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { secretHex, type Clock, type Logger } from "@coracle/base";
import type { RemoteCommandSession } from "@coracle/client/streaming";
import type { ContainerManager } from "../container/container-manager.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import type { SandboxManager } from "../sandbox/sandbox-manager.ts";
import { attach } from "./attach.ts";
import { startExec } from "./exec.ts";
import { connectPodPort } from "./forward-port.ts";

/** What a one-time address stands for. */
export type StreamingTicket =
  | {
      readonly kind: "exec";
      readonly containerId: string;
      readonly command: readonly string[];
      readonly streams: TicketStreams;
    }
  | { readonly kind: "attach"; readonly containerId: string; readonly streams: TicketStreams }
  | { readonly kind: "portforward"; readonly sandboxId: string };

interface TicketStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface StreamingServer extends AsyncDisposable {
  /** An address good for one connection within a minute. */
  issue(ticket: StreamingTicket): string;
}

const TICKET_LIFE_MS = 60_000;

/** Serves exec, attach and port-forward on a loopback port; the secret in the address is the permission. */
export async function startStreamingServer(deps: {
  readonly context: RuntimeContext;
  readonly containers: ContainerManager;
  readonly sandboxes: SandboxManager;
  readonly clock: Clock;
  readonly logger: Logger;
}): Promise<StreamingServer> {
  const tickets = new Map<string, { readonly ticket: StreamingTicket; readonly timer: Disposable }>();
  const sockets = new Set<Duplex>();
  const server: Server = createServer((_request, response) => {
    response.writeHead(400, { "content-type": "text/plain" }).end("upgrade required\n");
  });

  const take = (request: IncomingMessage): StreamingTicket | undefined => {
    const token = (request.url ?? "").split("?")[0]?.split("/").at(-1) ?? "";
    const found = tickets.get(token);
    if (found === undefined) return undefined;
    tickets.delete(token);
    found.timer[Symbol.dispose]();
    return found.ticket;
  };

  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const ticket = take(request);
    if (ticket === undefined) {
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    serve(deps, ticket, request, socket, head).catch((error: unknown) => {
      deps.logger.warn("streaming failed", { kind: ticket.kind, error });
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    issue(ticket) {
      const token = secretHex(16);
      const timer = deps.clock.after(TICKET_LIFE_MS, () => tickets.delete(token));
      timer.unref();
      tickets.set(token, { ticket, timer });
      return `http://127.0.0.1:${port}/${ticket.kind}/${token}`;
    },
    async [Symbol.asyncDispose]() {
      for (const { timer } of tickets.values()) timer[Symbol.dispose]();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function serve(
  deps: {
    readonly context: RuntimeContext;
    readonly containers: ContainerManager;
    readonly sandboxes: SandboxManager;
    readonly clock: Clock;
  },
  ticket: StreamingTicket,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const { context, containers, sandboxes, clock } = deps;
  // Loaded on first use: most runtimes never stream.
  const { servePortForward, serveRemoteCommand } = await import("@coracle/client/streaming");
  if (ticket.kind === "portforward") {
    const record = sandboxes.get(ticket.sandboxId);
    const netns = sandboxes.networkNamespace(record);
    await servePortForward(request, socket, head, (port, signal) => connectPodPort(netns, port, signal), { clock });
    return;
  }
  const { streams } = ticket;
  const start = async (session: RemoteCommandSession): Promise<{ readonly exitCode: number }> => {
    if (ticket.kind === "attach") {
      await attach(containers, ticket.containerId, session);
      return { exitCode: 0 };
    }
    const { containerId, command } = ticket;
    return {
      exitCode: await runExec(
        context,
        containers,
        { containerId, command, tty: streams.tty, stdin: streams.stdin },
        session,
      ),
    };
  };
  await serveRemoteCommand(request, socket, head, start, { streams, clock });
}

async function runExec(
  context: RuntimeContext,
  containers: ContainerManager,
  request: {
    readonly containerId: string;
    readonly command: readonly string[];
    readonly tty: boolean;
    readonly stdin: boolean;
  },
  session: RemoteCommandSession,
): Promise<number> {
  const exec = await startExec(context, containers, request);
  const stop = (): void => exec.kill();
  session.signal.addEventListener("abort", stop, { once: true });
  if (session.stdin !== undefined && exec.stdin !== undefined) session.stdin.pipe(exec.stdin);
  const sizes = (async () => {
    for await (const size of session.resize) await exec.resize(size);
  })();
  sizes.catch(() => {});
  if (session.stdout === undefined) exec.stdout.resume();
  else exec.stdout.pipe(session.stdout, { end: false });
  if (session.stderr === undefined) exec.stderr.resume();
  else exec.stderr.pipe(session.stderr, { end: false });
  try {
    return await exec.exitCode;
  } finally {
    session.signal.removeEventListener("abort", stop);
  }
}
