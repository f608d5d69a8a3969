import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAccessServer, type AccessServer } from "../access-fixture.ts";

let server: AccessServer;
const AS_TOKEN = `k8s-token`;

beforeAll(async () => {
  server = await startAccessServer(() => ({ tokens: `${AS_TOKEN},admin,u1,"system:masters"\n` }));
});
afterAll(() => server[Symbol.asyncDispose]());

/** Sends raw bytes as HTTP/1.1 and reads until the server closes. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls(
      { host: "127.0.0.1", port: server.server.port, ca: server.pki.ca.cert, ALPNProtocols: ["http/1.1"] },
      () => socket.write(text, "latin1"),
    );
    const parts: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => parts.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(parts).toString("latin1")));
  });
}

const session = (): ClientHttp2Session =>
  connectHttp2(`https://127.0.0.1:${server.server.port}`, { ca: server.pki.ca.cert });

/** Status of one HTTP/2 request, or the code of the stream's failure. */
function ask(over: ClientHttp2Session, headers: Record<string, string>): Promise<number | string> {
  return new Promise((resolve) => {
    const stream = over.request(headers);
    stream.on("response", (answer) => resolve(answer[":status"] ?? 0));
    stream.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    stream.on("close", () => resolve("closed"));
    stream.resume();
    stream.end();
  });
}

describe("requests made to break the server", () => {
  it("an HTTP/2 CONNECT, which has no path, is refused and ends nothing", async () => {
    const over = session();
    const answer = await ask(over, { ":method": "CONNECT", ":authority": "127.0.0.1:1" });
    expect(answer).toBe(400);
    expect(await ask(over, { ":path": "/version" })).toBe(200);
    over.destroy();
  });

  it.each([
    ["impersonate-extra-__proto__", "x"],
    ["impersonate-extra-constructor", "x"],
    ["impersonate-extra-tostring", "x"],
  ])("a key such as %s is a key like any other", async (name, value) => {
    const over = session();
    const answer = await ask(over, {
      ":path": "/api/v1/namespaces",
      authorization: `Bearer ${AS_TOKEN}`,
      "impersonate-user": "u",
      "impersonate-group": "system:masters",
      [name]: value,
    });
    expect(answer).toBe(200);
    over.destroy();
  });

  const head = `host: a\r\nauthorization: Bearer ${AS_TOKEN}\r\nconnection: close\r\n\r\n`;

  it.each([
    ["//version", 404],
    ["//api/v1/namespaces", 404],
    ["/api/v1//namespaces", 404],
    ["/apis//v1", 404],
    ["/apis/apps//v1/deployments", 404],
    ["/healthz/../metrics", 404],
    ["/healthz%2f..%2fmetrics", 404],
    ["/api/v1/./namespaces", 404],
    ["/api/v1/namespaces/default/../kube-system", 404],
    ["/api/v1/Namespaces", 404],
    ["/api/v1/namespaces/%zz", 400],
    ["/%", 400],
    ["/%61pi/v1/namespaces", 200],
    ["http://elsewhere/api/v1/namespaces", 200],
  ])("GET %s is %i: a path means what its letters say", async (path, status) => {
    expect(await raw(`GET ${path} HTTP/1.1\r\n${head}`)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it.each(["POST", "PUT", "DELETE", "PATCH"])("%s under /watch/ is no way to write", async (method) => {
    for (const path of ["pods", "namespaces/default/pods"])
      expect(await raw(`${method} /api/v1/watch/${path} HTTP/1.1\r\n${head}`)).toMatch(/^HTTP\/1.1 405 /);
    // Who may watch nodes/proxy may not write through it.
    const proxied = await raw(`${method} /api/v1/watch/nodes/n/proxy/x HTTP/1.1\r\n${head}`);
    expect(proxied).toMatch(/^HTTP\/1.1 404 /);
    expect(proxied).toContain("the server could not find the requested resource");
  });
});
