import { createServer, type Server } from "node:http";
import {
  connect as connectTcp,
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
} from "node:net";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, describe, expect, it } from "vitest";
import {
  connectPortForward,
  connectRemoteCommand,
  servePortForward,
  serveRemoteCommand,
  tunnelUpgrade,
  type RemoteCommandStart,
  type TerminalSize,
} from "./index.ts";

const servers: (Server | TcpServer)[] = [];
const sockets = new Set<{ destroy(): void }>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

async function listen(server: Server | TcpServer): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: { destroy(): void }) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A server of commands, behind a second one that only tunnels: the way from API server to kubelet to runtime. */
async function commandServer(start: RemoteCommandStart): Promise<URL> {
  const inner = createServer();
  inner.on("upgrade", (request, socket, head) => void serveRemoteCommand(request, socket, head, start));
  return tunnelled(await listen(inner));
}

async function tunnelled(port: number): Promise<URL> {
  const outer = createServer();
  outer.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url ?? "/", `http://127.0.0.1:${port}`);
    void tunnelUpgrade(request, socket, head, { url });
  });
  return new URL(`http://127.0.0.1:${await listen(outer)}/exec`);
}

async function text(stream: Readable | undefined): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream ?? []) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

const all = { stdin: true, stdout: true, stderr: true, tty: false };

describe.each(["websocket", "spdy"] as const)("a remote command over %s", (transport) => {
  it("carries input, both outputs and the exit code", async () => {
    const url = await commandServer(async ({ stdin, stdout, stderr }) => {
      stderr?.write("to err");
      stdout?.write(`got ${await text(stdin)}`);
      return { exitCode: 3 };
    });
    url.search = "?stdin=true&stdout=true&stderr=true";
    const command = await connectRemoteCommand({ url, transport }, all);
    command.stdin?.end("some input");
    const [out, err, status] = await Promise.all([text(command.stdout), text(command.stderr), command.status]);
    expect([out, err]).toEqual(["got some input", "to err"]);
    expect(status).toMatchObject({
      status: "Failure",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "3" }] },
    });
  });

  it("reports success, and a failure to start as an internal error", async () => {
    const good = await commandServer(async () => ({ exitCode: 0 }));
    good.search = "?output=1";
    const streams = { ...all, stdin: false, stderr: false };
    expect(await (await connectRemoteCommand({ url: good, transport }, streams)).status).toMatchObject({
      status: "Success",
    });
    const bad = await commandServer(() => Promise.reject(new Error("no such file")));
    bad.search = "?output=1";
    expect(await (await connectRemoteCommand({ url: bad, transport }, streams)).status).toMatchObject({
      status: "Failure",
      reason: "InternalError",
      message: "Internal error occurred: error executing command in container: no such file",
    });
  });

  it("moves 20 MB each way without loss while the reader is slow", async () => {
    const size = 20 * 1024 * 1024;
    const url = await commandServer(async ({ stdin, stdout }) => {
      if (stdin === undefined || stdout === undefined) throw new Error("streams are missing");
      await pipeline(stdin, stdout);
      return { exitCode: 0 };
    });
    url.search = "?stdin=1&stdout=1";
    const command = await connectRemoteCommand({ url, transport }, { ...all, stderr: false });
    const write = (async () => {
      const block = Buffer.alloc(65_536, 7);
      for (let sent = 0; sent < size; sent += block.length) {
        if (command.stdin?.write(block) === false) await once(command.stdin, "drain");
      }
      command.stdin?.end();
    })();
    let received = 0;
    for await (const part of command.stdout ?? []) received += (part as Buffer).length;
    await write;
    expect(received).toBe(size);
    expect(await command.status).toMatchObject({ status: "Success" });
  });

  it("tells the terminal's size and has one output", async () => {
    const url = await commandServer(async ({ stdout, stderr, resize }) => {
      let last: TerminalSize | undefined;
      for await (const size of resize) {
        last = size;
        break;
      }
      stdout?.write(`${last?.width}x${last?.height} ${stderr === undefined}`);
      return { exitCode: 0 };
    });
    url.search = "?stdin=1&stdout=1&stderr=1&tty=1";
    const command = await connectRemoteCommand({ url, transport }, { ...all, tty: true });
    command.resize({ width: 132, height: 50 });
    expect(await text(command.stdout)).toBe("132x50 true");
  });

  it("tells the command when the client is gone", async () => {
    let whenGone: Promise<void> | undefined;
    const url = await commandServer(async ({ signal }) => {
      whenGone = new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
      await whenGone;
      return { exitCode: 0 };
    });
    url.search = "?stdin=1";
    const command = await connectRemoteCommand({ url, transport }, { ...all, stdout: false, stderr: false });
    command.stdin?.write("x");
    command.close();
    await expect(command.status).rejects.toThrow();
    await whenGone;
  });
});

describe("a remote command", () => {
  it("without any stream, or by an unknown protocol, is refused", async () => {
    const url = await commandServer(async () => ({ exitCode: 0 }));
    await expect(connectRemoteCommand({ url, transport: "spdy" }, all)).rejects.toThrow(
      "you must specify at least 1 of stdin, stdout, stderr",
    );
  });
});

describe.each(["websocket", "spdy"] as const)("a port-forward over %s", (transport) => {
  it("carries parallel connections, half-closes and the errors of each", async () => {
    const echo = createTcpServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    const echoPort = await listen(echo);
    const inner = createServer();
    inner.on("upgrade", (request, socket, head) => {
      void servePortForward(request, socket, head, async (port) => {
        if (port !== 80) throw new Error("connection refused");
        const target = connectTcp({ port: echoPort, host: "127.0.0.1", allowHalfOpen: true });
        await once(target, "connect");
        return target;
      });
    });
    const url = await tunnelled(await listen(inner));
    const client = await connectPortForward({ url, transport });
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const { data, error } = await client.connect(80);
        const message = `connection ${index} `.repeat(50_000);
        data.end(message);
        expect(await text(data)).toBe(message);
        expect(await error).toBe("");
      }),
    );
    const { data, error } = await client.connect(81);
    data.resume();
    expect(await error).toBe("error forwarding port 81: connection refused");
    client.close();
  });
});
