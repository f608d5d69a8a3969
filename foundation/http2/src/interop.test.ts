import { once } from "node:events";
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { Http2Connection } from "./connection.ts";
import { createHttp2Server } from "./server.ts";
import { StreamDuplex } from "./stream-duplex.ts";
import type { Http2Stream } from "./stream.ts";

interface Served extends AsyncDisposable {
  readonly session: ClientHttp2Session;
  readonly connection: () => Http2Connection;
}

async function serve(onStream: (stream: Http2Stream) => void): Promise<Served> {
  let connection: Http2Connection | undefined;
  const http2 = createHttp2Server({ onStream });
  const server = createServer((socket) => (connection = http2.accept(socket))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    maxSessionMemory: 1_000,
    settings: { initialWindowSize: 100_000 },
  });
  await once(session, "connect");
  session.on("error", () => {});
  return {
    session,
    connection: () => connection!,
    async [Symbol.asyncDispose]() {
      session.destroy();
      connection?.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Sends back what came. */
function echo(stream: Http2Stream): void {
  const parts: Buffer[] = [];
  stream.listener = {
    data: (chunk) => void parts.push(chunk),
    ended(trailers) {
      const fields = Object.fromEntries(trailers.map(({ name, value }) => [name, value]));
      stream.respond(200, { "x-path": stream.head.path, "x-trailers": JSON.stringify(fields) });
      stream.write(Buffer.concat(parts));
      stream.end({ "x-sum": String(parts.reduce((sum, { length }) => sum + length, 0)) });
    },
    closed() {},
  };
  stream.flow();
}

interface Reply {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function replyOf(request: ClientHttp2Stream): Promise<Reply> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  request.on("response", (got) => (headers = got));
  request.on("trailers", (got) => (trailers = got));
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return { headers, trailers, body: Buffer.concat(parts) };
}

describe("Node's client", () => {
  it("is answered, many times at once, whatever the size", async () => {
    await using served = await serve(echo);
    const sizes = [0, 1, 100, 16_384, 16_385, 70_000, 1_000_000];
    await Promise.all(
      Array.from({ length: 140 }, async (_, i) => {
        const body = Buffer.alloc(sizes[i % sizes.length]!, i);
        const request = served.session.request({ ":method": "POST", ":path": `/${i}`, "content-length": body.length });
        request.end(body);
        const reply = await replyOf(request);
        expect(reply.headers).toMatchObject({ ":status": 200, "x-path": `/${i}` });
        expect(reply.headers.date).toMatch(/GMT$/);
        expect(reply.trailers["x-sum"]).toBe(String(body.length));
        expect(reply.body.equals(body)).toBe(true);
      }),
    );
    expect(served.connection().streamCount).toBe(0);
  });

  it("may send trailers, ask to go on, and for a head alone", async () => {
    await using served = await serve((stream) => {
      if (stream.head.get("expect") !== undefined) stream.inform(100);
      echo(stream);
    });
    const { session } = served;
    const request = session.request(
      { ":method": "POST", ":path": "/", expect: "100-continue" },
      { waitForTrailers: true },
    );
    request.on("wantTrailers", () => request.sendTrailers({ "x-last": "word" }));
    await once(request, "continue");
    request.end("body");
    const reply = await replyOf(request);
    expect([JSON.parse(reply.headers["x-trailers"] as string), reply.body.toString()]).toEqual([
      { "x-last": "word" },
      "body",
    ]);
    const head = session.request({ ":method": "HEAD", ":path": "/head" });
    expect((await replyOf(head)).headers["x-path"]).toBe("/head");
  });

  it("is heard when it breaks a stream off, and hears it", async () => {
    const codes: (number | undefined)[] = [];
    await using served = await serve((stream) => {
      stream.listener = { data() {}, ended() {}, closed: (code) => void codes.push(code) };
      stream.respond(200, {});
      if (stream.head.path === "/break") stream.reset(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    const ours = served.session.request({ ":path": "/" });
    await once(ours, "response");
    ours.close(constants.NGHTTP2_CANCEL);
    const theirs = served.session.request({ ":path": "/break" });
    const [failure] = (await once(theirs, "error")) as [Error & { code: string }];
    expect(failure.message).toContain("NGHTTP2_ENHANCE_YOUR_CALM");
    while (codes.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(codes.sort()).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM, constants.NGHTTP2_CANCEL]);
  });

  it("reads as slowly as it likes, and others do not wait for it", async () => {
    const size = 3_000_000;
    await using served = await serve((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.respond(200, {});
      stream.endWith(Buffer.alloc(stream.head.path === "/big" ? size : 5));
    });
    served.session.setLocalWindowSize(10_000_000);
    const slow = served.session.request({ ":path": "/big" });
    slow.pause();
    await once(slow, "response");
    expect((await replyOf(served.session.request({ ":path": "/small" }))).body).toHaveLength(5);
    expect((await replyOf(slow)).body).toHaveLength(size);
  });

  it("is told to go, ends what it has begun, and goes", async () => {
    let waiting: Http2Stream | undefined;
    await using served = await serve((stream) => {
      waiting = stream;
      stream.listener = { data() {}, ended() {}, closed() {} };
    });
    const request = served.session.request({ ":path": "/" });
    const reply = replyOf(request);
    while (waiting === undefined) await new Promise((resolve) => setImmediate(resolve));
    const closed = once(served.session, "close");
    served.connection().leave();
    await once(served.session, "goaway");
    waiting.respond(200, {});
    waiting.endWith(Buffer.from("last"));
    expect((await reply).body.toString()).toBe("last");
    await closed;
  });
});

describe("a stream as a Node stream", () => {
  it("pipes both ways with back-pressure", async () => {
    await using served = await serve((stream) => {
      const duplex = new StreamDuplex(stream);
      stream.respond(200, {});
      duplex.pipe(duplex);
    });
    const body = Buffer.alloc(2_000_000, 7);
    const request = served.session.request({ ":method": "POST", ":path": "/" });
    request.end(body);
    expect((await replyOf(request)).body.equals(body)).toBe(true);
  });

  it("is destroyed when the client goes", async () => {
    let closed: Promise<unknown> | undefined;
    await using served = await serve((stream) => {
      const duplex = new StreamDuplex(stream);
      stream.respond(200, {});
      closed = once(duplex, "close");
    });
    const request = served.session.request({ ":method": "POST", ":path": "/" });
    await once(request, "response");
    request.close(constants.NGHTTP2_CANCEL);
    await closed;
  });
});
