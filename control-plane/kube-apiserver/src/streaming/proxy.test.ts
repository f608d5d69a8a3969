import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import { request as httpsRequest } from "node:https";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { gzipSync } from "node:zlib";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

const NAMESPACE = "/api/v1/namespaces/default";

let dir: string;
let pki: ClusterPki;
let store: Store;
let server: RunningApiServer;
let backend: Server;
let port: number;
let last: { method: string; url: string; headers: IncomingHttpHeaders; body: string };

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function answer(
  request: IncomingMessage,
  body: string,
): { status: number; headers: Record<string, string>; body: Buffer | string } {
  const path = (request.url ?? "").replace(/\?.*/, "");
  if (path === "/page")
    return { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: '<a href="/next">é</a>' };
  if (path === "/packed") {
    const headers = { "content-type": "text/html", "content-encoding": "gzip" };
    return { status: 200, headers, body: gzipSync('<img src="/i.png">') };
  }
  if (path === "/move") return { status: 302, headers: { location: "/there?x=1" }, body: "" };
  if (path === "/move-host") return { status: 301, headers: { location: `http://127.0.0.1:${port}/there/` }, body: "" };
  if (path === "/move-away") return { status: 302, headers: { location: "https://example.com/" }, body: "" };
  if (path === "/teapot")
    return {
      status: 418,
      headers: { "x-kind": "teapot", connection: "x-private", "x-private": "1" },
      body: "short and stout",
    };
  if (path === "/cors") return { status: 200, headers: { "access-control-allow-origin": "*" }, body: "ok" };
  return { status: 200, headers: { "content-type": "text/plain" }, body: `${request.method} ${request.url} ${body}` };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "proxy-"));
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  backend = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      last = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
      if (request.url === "/cut") {
        response.write("half");
        setImmediate(() => response.destroy());
        return;
      }
      const { status, headers, body: text } = answer(request, body);
      response.writeHead(status, headers).end(text);
    });
  });
  backend.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    last = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body: "" };
    if (request.url === "/refuse")
      return void socket.end("HTTP/1.1 401 Unauthorized\r\nx-why: no\r\ncontent-length: 4\r\n\r\nnope");
    if (request.url === "/ignore") return void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  port = (backend.address() as AddressInfo).port;
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
    // The pods of this test are on this host itself.
    mayProxyTo: (address) => address === "127.0.0.1",
  });
  const admin = server.transport({ clientCertificate: pki.client("admin").cert });
  const write = async (method: string, path: string, body: object): Promise<void> => {
    const headers = { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" };
    const reply = await admin.request({ method, path, headers, body: Buffer.from(JSON.stringify(body)) });
    for await (const _ of reply.body);
    expect(reply.status).toBeLessThan(300);
  };
  const container = { name: "c", image: "i", ports: [{ name: "http", containerPort: port }] };
  for (const [name, podIP] of [
    ["web", "127.0.0.1"],
    ["link", "169.254.169.254"],
  ]) {
    await write("POST", `${NAMESPACE}/pods`, { metadata: { name }, spec: { containers: [container] } });
    await write("PATCH", `${NAMESPACE}/pods/${name}/status`, { status: { podIP, podIPs: [{ ip: podIP }] } });
  }
  await write("POST", `${NAMESPACE}/pods`, { metadata: { name: "unborn" }, spec: { containers: [container] } });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  backend.closeAllConnections();
  await new Promise((resolve) => backend.close(resolve));
  rmSync(dir, { recursive: true });
});

function ask(method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest({
      host: "127.0.0.1",
      port: server.port,
      method,
      path: path.startsWith("/api") ? path : `${NAMESPACE}/pods/web:${port}/proxy${path}`,
      ca: pki.ca.cert,
      ...pki.client("admin"),
      headers:
        body === undefined
          ? headers
          : headers["transfer-encoding"] === undefined
            ? { "content-length": String(body.length), ...headers }
            : headers,
      agent: false,
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      const parts: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => parts.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          text: Buffer.concat(parts).toString("utf8"),
        }),
      );
    });
    outgoing.end(body);
  });
}

describe("requests through the proxy", () => {
  it.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])(
    "%s goes through with its path, query and body",
    async (method) => {
      const body = method === "GET" || method === "OPTIONS" ? undefined : "hello";
      const reply = await ask(method, "/a/b?x=1&x=2", {}, body);
      expect(reply).toMatchObject({ status: 200, text: `${method} /a/b?x=1&x=2 ${body ?? ""}` });
    },
  );

  it("a body of unknown length goes through whatever the method", async () => {
    const reply = await ask("DELETE", "/a", { "transfer-encoding": "chunked" }, "hello");
    expect(reply.text).toBe("DELETE /a hello");
  });

  it("HEAD has the answer's head", async () => {
    expect(await ask("HEAD", "/a")).toMatchObject({ status: 200, text: "", headers: { "content-type": "text/plain" } });
  });

  it("the pod sees where the request came from, and no credentials", async () => {
    await ask("GET", "/a", {
      authorization: "Bearer x",
      "x-remote-user": "mallory",
      "x-own": "1",
      connection: "x-hop",
      "x-hop": "1",
    });
    expect(last.headers).toMatchObject({
      "x-own": "1",
      host: `127.0.0.1:${server.port}`,
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-uri": `${NAMESPACE}/pods/web:${port}/proxy/a`,
    });
    for (const name of ["authorization", "x-remote-user", "x-hop"]) expect(last.headers[name]).toBeUndefined();
  });

  it("statuses and headers come back as they are, those of the connection and of other origins' rights left out", async () => {
    const reply = await ask("GET", "/teapot");
    expect(reply).toMatchObject({ status: 418, text: "short and stout", headers: { "x-kind": "teapot" } });
    expect(reply.headers["x-private"]).toBeUndefined();
    expect((await ask("GET", "/cors")).headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("paths do not lead above the pod's root", async () => {
    expect((await ask("GET", "/a/%2e%2e/%2e%2e/b")).text).toBe("GET /b ");
  });

  it("the pod's own URL without a slash leads to the one with a slash, for readers", async () => {
    const proxy = `${NAMESPACE}/pods/web:${port}/proxy`;
    expect(await ask("GET", `${proxy}?x=1`)).toMatchObject({ status: 301, headers: { location: `${proxy}/?x=1` } });
    expect((await ask("POST", proxy)).text).toBe("POST / ");
    expect((await ask("GET", `${proxy}/`)).text).toBe("GET / ");
  });

  it("the first port of a pod is the one meant, and one is found by scheme, name and port", async () => {
    expect((await ask("GET", `${NAMESPACE}/pods/web/proxy/x`)).text).toBe("GET /x ");
    expect((await ask("GET", `${NAMESPACE}/pods/http:web:${port}/proxy/x`)).text).toBe("GET /x ");
  });

  it("methods that are nobody's are refused", async () => {
    expect((await ask("TRACE", "/a")).status).toBe(405);
  });

  it("half an answer is seen to be half", async () => {
    await expect(ask("GET", "/cut")).rejects.toThrow();
  });
});

describe("pages through the proxy", () => {
  const prefix = (): string => `${NAMESPACE}/pods/web:${port}/proxy`;

  it("links lead through it, also of a page that comes compressed", async () => {
    expect((await ask("GET", "/page")).text).toBe(`<a href="${prefix()}/next">é</a>`);
    expect((await ask("GET", "/packed")).text).toBe(`<img src="${prefix()}/i.png">`);
  });

  it.each([
    ["/move", "/there?x=1"],
    ["/move-host", "/there/"],
  ])("the redirect of %s leads through it", async (path, to) => {
    expect((await ask("GET", path)).headers.location).toBe(prefix() + to);
  });

  it("a redirect to another host does not", async () => {
    expect((await ask("GET", "/move-away")).headers.location).toBe("https://example.com/");
  });
});

describe("what cannot be reached", () => {
  const messageOf = async (path: string): Promise<string> => {
    const { status, text } = await ask("GET", path);
    return `${status} ${(JSON.parse(text) as { message: string }).message}`;
  };

  it("a port where nobody listens", async () => {
    const free = createTcpServer();
    await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
    const closed = (free.address() as AddressInfo).port;
    await new Promise((resolve) => free.close(resolve));
    expect(await messageOf(`${NAMESPACE}/pods/web:${closed}/proxy/`)).toBe(
      `503 error trying to reach service: dial tcp 127.0.0.1:${closed}: connect: connection refused`,
    );
  });

  it.each([
    ["pods/link/proxy/", "400 address not allowed"],
    ["pods/unborn/proxy/", "400 address not allowed"],
    ["pods/ftp:web:21/proxy/", '400 invalid pod request "ftp:web:21"'],
    ["pods/gone/proxy/", '404 pods "gone" not found'],
    ["services/gone/proxy/", '404 services "gone" not found'],
    ["services/a:b:c/proxy/", '400 invalid service request "a:b:c"'],
    ["pods/web/proxy/x?dryRun=All", "400 dryRun is not supported"],
  ])("%s", async (path, refusal) => {
    expect(await messageOf(`${NAMESPACE}/${path}`)).toBe(refusal);
  });
});

describe("upgrades through the proxy", () => {
  const upgrade = (path: string): Promise<Reply | string> =>
    new Promise((resolve, reject) => {
      const outgoing = httpsRequest({
        host: "127.0.0.1",
        port: server.port,
        path: `${NAMESPACE}/pods/web:${port}/proxy${path}`,
        ca: pki.ca.cert,
        ...pki.client("admin"),
        agent: false,
        headers: { connection: "Upgrade", upgrade: "echo" },
      });
      outgoing.on("error", reject);
      outgoing.on("response", (incoming) => {
        let text = "";
        incoming.on("data", (chunk: Buffer) => (text += chunk.toString()));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }));
      });
      outgoing.on("upgrade", (_, socket) => {
        const sent = "all of it".repeat(20_000);
        let text = "";
        socket.on("data", (chunk: Buffer) => {
          text += chunk.toString();
          if (text.length < sent.length) return;
          resolve(text === sent ? "the same" : "something else");
          socket.destroy();
        });
        socket.write(sent);
      });
      outgoing.end();
    });

  it("carry every byte both ways, to the end", async () => {
    expect(await upgrade("/echo")).toBe("the same");
    expect(last).toMatchObject({
      method: "GET",
      url: "/echo",
      headers: { upgrade: "echo", "x-forwarded-for": "127.0.0.1" },
    });
  });

  it("a refusal is handed on as it came", async () => {
    expect(await upgrade("/refuse")).toMatchObject({ status: 401, text: "nope", headers: { "x-why": "no" } });
  });

  it("an answer that is neither is an error", async () => {
    const reply = (await upgrade("/ignore")) as Reply;
    expect(reply.status).toBe(500);
    expect(reply.text).toContain("invalid upgrade response: status code 200");
  });
});
