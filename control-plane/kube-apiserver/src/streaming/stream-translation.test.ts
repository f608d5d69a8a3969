import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { IncomingMessage } from "node:http";
import { createServer as createTcpServer, connect, type AddressInfo, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import {
  connectPortForward,
  connectRemoteCommand,
  servePortForward,
  serveRemoteCommand,
} from "@coracle/client/streaming";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

let dir: string;
let pki: ClusterPki;
let store: Store;
let server: RunningApiServer;
let kubelet: Server;
let echo: TcpServer;
/** Upgrades that reached the kubelet, as `METHOD PROTOCOL`. */
const seen: string[] = [];
/** Upstream's kubelets know SPDY, and WebSocket in older versions than clients speak. */
let knowsWebSocket = false;

function upgraded(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  seen.push(`${request.method} ${request.headers.upgrade}`);
  if (!knowsWebSocket && request.headers.upgrade === "websocket")
    return void socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  const path = request.url ?? "";
  if (path.startsWith("/portForward/")) {
    const { port } = echo.address() as AddressInfo;
    return void servePortForward(request, socket, head, () => Promise.resolve(connect(port, "127.0.0.1")));
  }
  const command = new URL(path, "https://k").searchParams.getAll("command");
  void serveRemoteCommand(request, socket, head, async ({ stdin, stdout, stderr, resize }) => {
    if (command[0] === "cat") {
      for await (const chunk of stdin!) if (!stdout!.write(chunk)) await once(stdout!, "drain");
      return { exitCode: 0 };
    }
    if (command[0] === "size") {
      for await (const { width, height } of resize) {
        stdout!.write(`${width}x${height}`);
        return { exitCode: 0 };
      }
    }
    if (command[0] === "break") throw new Error("the runtime is gone");
    stdout!.write("out");
    stderr?.write("err");
    return { exitCode: 3 };
  });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "translation-"));
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  const { serving } = pki.node("n1", ["127.0.0.1"]);
  kubelet = createServer({ ...serving, ca: pki.ca.cert, requestCert: true });
  kubelet.on("upgrade", upgraded);
  await new Promise<void>((resolve) => kubelet.listen(0, "127.0.0.1", resolve));
  echo = createTcpServer((socket) => void socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  store = createMemoryStore({ clock: systemClock });
  server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: { issuers: ["https://i"], signingKey: pki.serviceAccountKey, extendTokenExpiration: true },
      kubeletClient: { ...pki.client("apiserver-kubelet-client"), ca: pki.ca.cert },
      maxRequestsInflight: 400,
      maxMutatingRequestsInflight: 200,
      minRequestTimeoutSeconds: 1800,
      admission: { enable: [], disable: ["ServiceAccount"] },
    },
    store,
    listen: { host: "127.0.0.1", port: 0, cert: pki.apiServer.cert, key: pki.apiServer.key },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const admin = server.transport({ clientCertificate: pki.client("admin").cert });
  const send = async (method: string, path: string, body: object): Promise<void> => {
    const headers = { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" };
    const answer = await admin.request({ method, path, headers, body: Buffer.from(JSON.stringify(body)) });
    for await (const _ of answer.body);
    expect(answer.status).toBeLessThan(300);
  };
  const { port } = kubelet.address() as AddressInfo;
  await send("POST", "/api/v1/nodes", { metadata: { name: "n1" } });
  await send("PATCH", "/api/v1/nodes/n1/status", {
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
  await send("POST", "/api/v1/namespaces/default/pods", {
    metadata: { name: "p" },
    spec: { nodeName: "n1", containers: [{ name: "c", image: "i" }] },
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  kubelet.closeAllConnections();
  await Promise.all([kubelet, echo].map((one) => new Promise((resolve) => one.close(resolve))));
  rmSync(dir, { recursive: true });
});

const target = (path: string, transport: "websocket" | "spdy" = "websocket") => ({
  url: new URL(`https://127.0.0.1:${server.port}/api/v1/namespaces/default/pods/p/${path}`),
  transport,
  connection: { ca: pki.ca.cert, ...pki.client("admin") },
});

async function textOf(stream: AsyncIterable<unknown> | undefined): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream ?? []) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

describe("clients that speak WebSocket, kubelets that speak SPDY", () => {
  it("output of both kinds, and the exit code, reach the client", async () => {
    knowsWebSocket = false;
    seen.length = 0;
    const streams = { stdin: false, stdout: true, stderr: true, tty: false };
    const command = await connectRemoteCommand(target("exec?command=ls&stdout=true&stderr=true"), streams);
    const [out, err, status] = await Promise.all([textOf(command.stdout), textOf(command.stderr), command.status]);
    expect([out, err]).toEqual(["out", "err"]);
    expect(status).toMatchObject({
      status: "Failure",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "3" }] },
    });
    expect(seen).toEqual(["GET websocket", "POST SPDY/3.1"]);
  });

  it("input goes through to its end, all of it", async () => {
    knowsWebSocket = false;
    const streams = { stdin: true, stdout: true, stderr: false, tty: false };
    const command = await connectRemoteCommand(target("exec?command=cat&stdin=true&stdout=true"), streams);
    const size = 3_000_000;
    command.stdin!.end(Buffer.alloc(size, "x"));
    const [out, status] = await Promise.all([textOf(command.stdout), command.status]);
    expect(out).toHaveLength(size);
    expect(status.status).toBe("Success");
  });

  it("a terminal's size goes through", async () => {
    knowsWebSocket = false;
    const streams = { stdin: true, stdout: true, stderr: false, tty: true };
    const command = await connectRemoteCommand(target("exec?command=size&stdin=true&stdout=true&tty=true"), streams);
    command.resize({ width: 80, height: 24 });
    expect(await textOf(command.stdout)).toBe("80x24");
  });

  it("what the kubelet says went wrong is said", async () => {
    knowsWebSocket = false;
    const streams = { stdin: false, stdout: true, stderr: false, tty: false };
    const command = await connectRemoteCommand(target("exec?command=break&stdout=true"), streams);
    expect((await command.status).message).toContain("the runtime is gone");
  });

  it("ports are forwarded out of the tunnel", async () => {
    knowsWebSocket = false;
    seen.length = 0;
    const client = await connectPortForward(target("portforward?ports=80"));
    const { data } = await client.connect(80);
    data.end("ping");
    expect(await textOf(data)).toBe("ping");
    client.close();
    expect(seen).toEqual(["GET websocket", "POST SPDY/3.1"]);
  });

  it("a kubelet that knows what the client speaks is spoken to as it is", async () => {
    knowsWebSocket = true;
    seen.length = 0;
    const streams = { stdin: false, stdout: true, stderr: true, tty: false };
    const command = await connectRemoteCommand(target("attach?stdout=true&stderr=true"), streams);
    expect(await textOf(command.stdout)).toBe("out");
    const client = await connectPortForward(target("portforward?ports=80"));
    const { data } = await client.connect(80);
    data.end("ping");
    expect(await textOf(data)).toBe("ping");
    client.close();
    expect(seen).toEqual(["GET websocket", "GET websocket"]);
  });

  it("SPDY stays SPDY", async () => {
    knowsWebSocket = false;
    seen.length = 0;
    const streams = { stdin: false, stdout: true, stderr: true, tty: false };
    const command = await connectRemoteCommand(target("exec?command=ls&stdout=true&stderr=true", "spdy"), streams);
    expect(await textOf(command.stdout)).toBe("out");
    expect(seen).toEqual(["POST SPDY/3.1"]);
  });
});
