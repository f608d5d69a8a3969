import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ApiRequest } from "../server/api-request.ts";
import { forwardedHeaders } from "./backend.ts";
import { tunnelUpgrade } from "./tunnel.ts";

let backend: Server;
let received = "";
let answer = "";
const sockets = new Set<Socket>();

beforeEach(async () => {
  received = "";
  backend = createServer((socket) => {
    sockets.add(socket);
    let isAnswered = false;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (isAnswered || !received.includes("\r\n\r\n")) return;
      isAnswered = true;
      socket.write(answer);
    });
    socket.on("end", () => socket.end());
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => backend.close(resolve));
});

/** A client's connection whose two directions are streams of their own. */
function connection(): { readonly socket: Duplex; readonly sent: () => string } {
  let sent = "";
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent += chunk.toString("latin1");
      done();
    },
  });
  return { socket, sent: () => sent };
}

const requestWith = (headers: Record<string, string>, upgrade?: { socket: Duplex; head: Buffer }): ApiRequest =>
  ({
    exchange: {
      method: "GET",
      headers: () => headers,
      header: (name: string) => headers[name],
      peer: { address: "192.0.2.7", certificates: [] },
      upgrade: upgrade === undefined ? undefined : { protocol: "websocket", ...upgrade },
    },
    identityHeaders: { names: new Set(["x-front-user"]), prefixes: ["x-front-extra-"] },
    signal: new AbortController().signal,
  }) as unknown as ApiRequest;

const target = () => ({
  host: "127.0.0.1",
  port: (backend.address() as AddressInfo).port,
  isTls: false,
  path: "/exec/default/p/c",
  now: 0,
});

const SMUGGLED = "GET /exec/kube-system/other/c?command=id HTTP/1.1\r\nhost: a\r\n\r\n";

describe("what a client sends behind an upgrade request", () => {
  it("is no second request of this server's when the backend refuses", async () => {
    answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nno";
    const { socket, sent } = connection();
    const headers = { connection: "Upgrade", upgrade: "websocket", "content-length": "0" };
    await tunnelUpgrade(requestWith(headers, { socket, head: Buffer.from(SMUGGLED) }), target());
    expect(sent()).toContain("403 Forbidden");
    expect(received).not.toContain("kube-system");
  });

  it("is its first words in the new protocol when the backend agrees", async () => {
    answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    const { socket } = connection();
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const done = tunnelUpgrade(requestWith(headers, { socket, head: Buffer.from("hello") }), target());
    while (!received.endsWith("\r\n\r\nhello")) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await done;
  });
});

describe("headers that go on to a backend", () => {
  const own = {
    host: "b",
    port: 1,
    isTls: false,
    path: "/",
    now: 0,
    headers: { "x-remote-user": "u", "x-remote-group": ["g"] },
  };

  it("those that say for whom this server asks cannot be declared away", () => {
    const headers = { connection: "keep-alive, X-Remote-User, x-remote-group, x-mine", "x-mine": "1", "x-other": "2" };
    const sent = forwardedHeaders(requestWith(headers), own);
    expect(sent).toMatchObject({ "x-remote-user": "u", "x-remote-group": ["g"], "x-other": "2" });
    expect(sent["x-mine"]).toBeUndefined();
  });

  it("those of a front proxy, whatever they are called, are the client's word only", () => {
    const headers = {
      "x-remote-user": "admin",
      "x-remote-extra-a": "b",
      "x-front-user": "admin",
      "x-front-extra-a": "b",
      "impersonate-user": "admin",
      authorization: "Bearer t",
    };
    expect(Object.keys(forwardedHeaders(requestWith(headers), { ...own, headers: {} })).toSorted()).toEqual([
      "host",
      "x-forwarded-for",
    ]);
  });

  it("an upgrade has no body, and says of the connection only that", () => {
    const { socket } = connection();
    const headers = {
      connection: "Upgrade, X-Remote-User",
      upgrade: "websocket",
      "transfer-encoding": "chunked",
      "content-length": "9",
    };
    expect(forwardedHeaders(requestWith(headers, { socket, head: Buffer.alloc(0) }), own)).toMatchObject({
      connection: "Upgrade",
      upgrade: "websocket",
      "content-length": "0",
      "x-remote-user": "u",
    });
  });
});
