import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { connect, type AddressInfo, type Socket } from "node:net";
import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createHttp2Client } from "./client.ts";
import type { Http2Connection } from "./connection.ts";
import { errorCode } from "./error-code.ts";
import { frame, number32, SETTINGS_FRAME, TestSocket } from "./peer-fixture.ts";
import type { HeaderValues } from "./stream.ts";

interface Served extends AsyncDisposable {
  readonly connection: Http2Connection;
  readonly server: Http2Server;
  readonly socket: Socket;
}

/** Node's server, and our client on it. */
async function serve(prepare: (server: Http2Server) => void): Promise<Served> {
  const server = createServer({ settings: { initialWindowSize: 50_000 } });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  prepare(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const connection = createHttp2Client({ limits: { streamWindowBytes: 100_000 } }).begin(socket);
  return {
    connection,
    server,
    socket,
    async [Symbol.asyncDispose]() {
      connection.destroy();
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const pseudo = (method: string, path: string): HeaderValues => ({
  ":method": method,
  ":scheme": "http",
  ":path": path,
  ":authority": "a",
});

interface Reply {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, string>>;
  readonly code: number | undefined;
}

function call(connection: Http2Connection, method: string, path: string, body?: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let trailers: Record<string, string> = {};
    const parts: Buffer[] = [];
    const stream = connection.request(pseudo(method, path), { "x-a": "b" }, body === undefined, {
      head: (head) => void (status = head.status),
      data: (chunk) => void parts.push(chunk),
      ended: (fields) => void (trailers = Object.fromEntries(fields.map(({ name, value }) => [name, value]))),
      closed: (code) => resolve({ status, body: Buffer.concat(parts), trailers, code }),
    });
    if (stream === undefined) {
      reject(new Error("the connection takes no more"));
      return;
    }
    if (body !== undefined) stream.endWith(body);
    stream.flow();
  });
}

describe("our client on Node's server", () => {
  it("is answered, many times at once, whatever the size", async () => {
    await using served = await serve((server) =>
      server.on("stream", (stream, headers) => {
        stream.respond({ ":status": 200, "x-path": headers[":path"] }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-last": "word" }));
        stream.pipe(stream);
      }),
    );
    await Promise.all(
      [0, 1, 16_384, 16_385, 70_000, 400_000].flatMap((size) =>
        Array.from({ length: 8 }, async (_, i) => {
          const body = Buffer.alloc(size, i);
          const reply = await call(served.connection, "POST", `/${i}`, body);
          expect([reply.status, reply.code, reply.trailers]).toEqual([200, 0, { "x-last": "word" }]);
          expect(reply.body.equals(body)).toBe(true);
        }),
      ),
    );
    expect((await call(served.connection, "GET", "/")).status).toBe(200);
    await new Promise<void>((answered) => served.connection.ping(answered));
  });

  it("reads as slowly as it likes", async () => {
    await using served = await serve((server) => server.on("stream", (stream) => stream.end(Buffer.alloc(1_000_000))));
    let size = 0;
    await new Promise<void>((resolve) => {
      const stream = served.connection.request(pseudo("GET", "/"), {}, true, {
        data(chunk) {
          size += chunk.length;
          stream.pause();
          setImmediate(() => stream.flow());
        },
        ended: () => resolve(),
        closed() {},
      })!;
      stream.flow();
    });
    expect(size).toBe(1_000_000);
  });

  it("hears of streams that are broken off, of farewells, and of connections that are lost", async () => {
    await using served = await serve((server) =>
      server.on("stream", (stream, headers) => {
        stream.on("error", () => {});
        if (headers[":path"] === "/break") stream.close(errorCode.enhanceYourCalm);
        if (headers[":path"] === "/leave") stream.session!.close();
      }),
    );
    const { connection, socket } = served;
    expect((await call(connection, "GET", "/break")).code).toBe(errorCode.enhanceYourCalm);
    const waiting = call(connection, "GET", "/leave");
    while (!connection.isClosing) await new Promise((resolve) => setImmediate(resolve));
    expect(connection.request(pseudo("GET", "/"), {}, true, { data() {}, ended() {}, closed() {} })).toBeUndefined();
    socket.destroy(new Error("gone"));
    expect((await waiting).code).toBeUndefined();
    expect(connection.reason?.message).toBe("gone");
  });
});

describe("a server that sends anything", () => {
  it("throws nothing, and every request ends once", async () => {
    for (let seed = 0; seed < 400; seed++) {
      const random = createSeededRandom(seed);
      const pick = (count: number): number => Math.floor(random.next() * count);
      const socket = new TestSocket();
      const connection = createHttp2Client({ limits: { streamWindowBytes: 65_536 } }).begin(socket);
      const closed = [0, 0, 0];
      for (const i of closed.keys())
        connection
          .request(pseudo("POST", "/"), {}, i === 0, { data() {}, ended() {}, closed: () => void closed[i]!++ })!
          .flow();
      const answers = [
        Buffer.from(SETTINGS_FRAME), // changed below
        frame(1, 4, 1, "88"),
        frame(0, 0, 1, "00 00"),
        frame(1, 4, 3, "8d"),
        frame(0, 1, 1, "00"),
        frame(1, 5, 3, "400161 0162"),
        frame(3, 0, 5, number32(7)),
        frame(7, 0, 0, Buffer.concat([number32(pick(7)), number32(0)])),
      ];
      for (let i = pick(4); i > 0; i--) {
        const at = pick(answers.length);
        if (pick(2) === 0)
          answers.splice(at, 0, frame(pick(11), pick(256), pick(8), Buffer.alloc(pick(20), pick(256))));
        else answers[at]![pick(answers[at]!.length)] = pick(256);
      }
      for (const byte of Buffer.concat(answers)) socket.push(Buffer.from([byte]));
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      connection.destroy();
      expect(closed, `seed ${seed}`).toEqual([1, 1, 1]);
      expect(connection.streamCount).toBe(0);
    }
  });
});
