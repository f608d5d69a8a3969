import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpsRequest, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import { createMemoryStore, type Store } from "@coracle/etcd";
import { createAuthority, openClusterPki, type ClusterPki } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startApiServer, type RunningApiServer } from "../run-api-server.ts";

let dir: string;
let pki: ClusterPki;
let store: Store;
let server: RunningApiServer;
let kubelet: Server;
const sockets = new Set<Duplex>();
let post: (method: string, path: string, body: object) => Promise<void>;
/** Requests that reached the node, as `METHOD URL (CN of the client)`. */
const seen: string[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "connectors-"));
  pki = openClusterPki({ dir, apiServerNames: ["127.0.0.1"], now: Date.now() });
  const { serving } = pki.node("n1", ["127.0.0.1"]);
  const note = (method: string | undefined, url: string | undefined, socket: Duplex): void => {
    seen.push(`${method} ${url} (${String((socket as TLSSocket).getPeerCertificate().subject.CN)})`);
  };
  kubelet = createServer({ ...serving, ca: pki.ca.cert, requestCert: true }, (request, response) => {
    note(request.method, request.url, request.socket);
    if (request.url?.includes("tailLines=1") === true) {
      response.statusCode = 400;
      response.end('container "c" in pod "p" is waiting to start: ContainerCreating');
    } else response.end("line\n");
  });
  kubelet.on("upgrade", (request, socket: Duplex) => {
    note(request.method, request.url, socket);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  kubelet.on("secureConnection", (socket: Socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => kubelet.listen(0, "127.0.0.1", resolve));

  store = createMemoryStore({ clock: systemClock });
  const client = pki.client("apiserver-kubelet-client");
  server = await startApiServer({
    config: {
      serviceClusterIpRanges: ["10.0.0.0/24"],
      serviceNodePortRange: "30000-32767",
      advertiseAddress: "192.0.2.1",
      authorizationModes: ["RBAC"],
      anonymousAuth: true,
      clientCa: pki.ca.cert,
      serviceAccounts: { issuers: ["https://i"], signingKey: pki.serviceAccountKey, extendTokenExpiration: true },
      kubeletClient: { ...client, ca: pki.ca.cert },
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
    // The node of this test is this host itself.
    mayProxyTo: (address) => address === "127.0.0.1",
  });
  const { port } = kubelet.address() as AddressInfo;
  const admin = server.transport({ clientCertificate: pki.client("admin").cert });
  post = async (method, path, body) => {
    const headers = { "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" };
    const answer = await admin.request({ method, path, headers, body: Buffer.from(JSON.stringify(body)) });
    for await (const _ of answer.body);
    expect(answer.status).toBeLessThan(300);
  };
  await post("POST", "/api/v1/nodes", { metadata: { name: "n1" } });
  await post("PATCH", "/api/v1/nodes/n1/status", {
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
  await post("POST", "/api/v1/namespaces/default/pods", {
    metadata: { name: "p" },
    spec: { nodeName: "n1", containers: [{ name: "c", image: "i" }] },
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => kubelet.close(resolve));
  rmSync(dir, { recursive: true });
});

const POD = "/api/v1/namespaces/default/pods/p";

function ask(
  path: string,
  who: { cert: string; key: string },
  headers: Record<string, string> = {},
): ReturnType<typeof httpsRequest> {
  return httpsRequest({ host: "127.0.0.1", port: server.port, path, ca: pki.ca.cert, ...who, headers, agent: false });
}

function read(path: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = ask(path, pki.client("admin"));
    outgoing.on("error", reject);
    outgoing.on("response", (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    outgoing.end();
  });
}

const UPGRADE = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-protocol": "v5.channel.k8s.io" };

describe("requests to a node", () => {
  it("logs come from the kubelet, asked with this server's own certificate", async () => {
    expect(await read(`${POD}/log?follow=true`)).toEqual({ status: 200, text: "line\n" });
    expect(seen.at(-1)).toBe("GET /containerLogs/default/p/c?follow=true (kube-apiserver-kubelet-client)");
  });

  it("a kubelet's refusal becomes a Status", async () => {
    const reply = await read(`${POD}/log?tailLines=1`);
    expect(reply.status).toBe(400);
    expect(JSON.parse(reply.text)).toMatchObject({
      reason: "BadRequest",
      message: 'container "c" in pod "p" is waiting to start: ContainerCreating',
    });
  });

  it("a container that the pod does not have is 400", async () => {
    expect(JSON.parse((await read(`${POD}/log?container=x`)).text)).toMatchObject({
      message: "container x is not valid for pod p",
    });
  });

  it("a log comes as WebSocket messages to whom asks for them", async () => {
    const headers = { ...UPGRADE, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13" };
    const follow = (protocol: string): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        const outgoing = ask(`${POD}/log`, pki.client("admin"), { ...headers, "sec-websocket-protocol": protocol });
        outgoing.on("error", reject);
        outgoing.on("upgrade", (answer, socket, head) => {
          expect(answer.headers).toMatchObject({
            "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "sec-websocket-protocol": protocol,
          });
          const parts: Buffer[] = [head];
          socket.on("data", (chunk: Buffer) => parts.push(chunk));
          socket.on("end", () => resolve(Buffer.concat(parts)));
        });
        outgoing.end();
      });
    const close = [0x88, 2, 0x03, 0xe8];
    expect([...(await follow("binary.k8s.io"))]).toEqual([0x82, 5, ...Buffer.from("line\n"), ...close]);
    expect([...(await follow("base64.binary.k8s.io"))]).toEqual([0x81, 8, ...Buffer.from("bGluZQo="), ...close]);
  });

  it("nodes/proxy passes path and query on", async () => {
    expect((await read("/api/v1/nodes/n1/proxy/pods?x=1")).text).toBe("line\n");
    expect(seen.at(-1)).toBe("GET /pods?x=1 (kube-apiserver-kubelet-client)");
  });

  it("nodes/proxy leads to its root with a slash, and passes on methods that the API does not have", async () => {
    const answerTo = (method: string): Promise<{ status: number; location: string | undefined }> =>
      new Promise((resolve, reject) => {
        const outgoing = httpsRequest({
          host: "127.0.0.1",
          port: server.port,
          path: "/api/v1/nodes/n1/proxy?x=1",
          method,
          ca: pki.ca.cert,
          ...pki.client("admin"),
          agent: false,
        });
        outgoing.on("error", reject);
        outgoing.on("response", (answer) => {
          answer.resume();
          resolve({ status: answer.statusCode ?? 0, location: answer.headers.location });
        });
        outgoing.end();
      });
    expect(await answerTo("GET")).toEqual({ status: 301, location: "/api/v1/nodes/n1/proxy/?x=1" });
    expect(await answerTo("OPTIONS")).toEqual({ status: 200, location: undefined });
    expect(seen.at(-1)).toBe("OPTIONS /?x=1 (kube-apiserver-kubelet-client)");
  });

  it("exec is a tunnel, byte by byte", async () => {
    const echoed = await new Promise<string>((resolve, reject) => {
      const outgoing = ask(`${POD}/exec?command=ls&command=-l&stdout=true`, pki.client("admin"), UPGRADE);
      outgoing.on("error", reject);
      outgoing.on("upgrade", (_answer, socket) => {
        socket.once("data", (chunk: Buffer) => {
          resolve(chunk.toString());
          socket.destroy();
        });
        socket.write("hello");
      });
      outgoing.end();
    });
    expect(echoed).toBe("hello");
    expect(seen.at(-1)).toBe("GET /exec/default/p/c?output=1&command=ls&command=-l (kube-apiserver-kubelet-client)");
  });

  it("a node that shows a certificate of another authority is told nothing", async () => {
    const now = Date.now();
    const validity = { notBefore: now - 86_400_000, notAfter: now + 86_400_000 };
    const stranger = createAuthority({ subject: { commonName: "stranger" }, ...validity });
    const certificate = stranger.issue({
      subject: { commonName: "system:node:n2" },
      usages: ["server"],
      names: ["127.0.0.1"],
      ...validity,
    });
    let requests = 0;
    const impostor = createServer(certificate, () => (requests += 1));
    impostor.on("upgrade", () => (requests += 1));
    await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = impostor.address() as AddressInfo;
      await post("POST", "/api/v1/nodes", { metadata: { name: "n2" } });
      await post("PATCH", "/api/v1/nodes/n2/status", {
        status: {
          addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
          daemonEndpoints: { kubeletEndpoint: { Port: port } },
        },
      });
      await post("POST", "/api/v1/namespaces/default/pods", {
        metadata: { name: "q" },
        spec: { nodeName: "n2", containers: [{ name: "c", image: "i" }] },
      });
      const why = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
      const log = await read("/api/v1/namespaces/default/pods/q/log");
      expect(log.status).toBe(500);
      expect(JSON.parse(log.text)).toMatchObject({
        message: `Get "https://127.0.0.1:${port}/containerLogs/default/q/c": ${why}`,
      });
      expect(JSON.parse((await read("/api/v1/nodes/n2/proxy/pods")).text)).toMatchObject({
        message: `error trying to reach service: ${why}`,
        code: 503,
      });
      const text = await new Promise<string>((resolve, reject) => {
        const outgoing = ask(
          "/api/v1/namespaces/default/pods/q/exec?command=ls&stdout=1",
          pki.client("admin"),
          UPGRADE,
        );
        outgoing.on("error", reject);
        outgoing.on("response", (answer) => {
          let all = "";
          answer.on("data", (chunk: Buffer) => (all += chunk.toString()));
          answer.on("end", () => resolve(all));
        });
        outgoing.end();
      });
      expect(JSON.parse(text)).toMatchObject({ message: `error dialing backend: ${why}`, code: 500 });
      expect(requests).toBe(0);
    } finally {
      await new Promise((resolve) => impostor.close(resolve));
    }
  });

  it("an upgrade is refused to whom may not", async () => {
    const bob = pki.issueClient({ commonName: "bob" });
    const status = await new Promise<number>((resolve, reject) => {
      const outgoing = ask(`${POD}/exec?command=ls`, bob, UPGRADE);
      outgoing.on("error", reject);
      outgoing.on("response", (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      outgoing.end();
    });
    expect(status).toBe(403);
  });
});
