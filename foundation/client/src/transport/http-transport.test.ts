import { createServer, type AddressInfo, type Server } from "node:net";
import { createHttp2Server, errorCode, type Http2Connection, type Http2Stream } from "@coracle/http2";
import { afterEach, describe, expect, it } from "vitest";
import { createHttpTransport } from "./http-transport.ts";
import type { Transport, TransportResponse } from "./transport.ts";

const GET = { method: "GET", path: "/a", headers: { accept: "text/plain" }, body: undefined } as const;

interface Served {
  readonly transport: Transport;
  readonly connections: Http2Connection[];
  readonly url: string;
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** A server that treats streams so, and a transport to it. */
async function serve(onStream: (stream: Http2Stream) => void, maxStreams = 100): Promise<Served> {
  const connections: Http2Connection[] = [];
  const http2 = createHttp2Server({ onStream, limits: { maxStreams } });
  const server: Server = createServer((socket) => void connections.push(http2.accept(socket)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createHttpTransport({ server: url, token: "secret" });
  cleanups.push(async () => {
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  cleanups.push(async () => await transport[Symbol.asyncDispose]());
  return { transport, connections, url };
}

async function text({ body }: TransportResponse): Promise<string> {
  let all = "";
  for await (const chunk of body) all += chunk.toString();
  return all;
}

/** Answers with what it was asked, after all of it has come. */
function echo(stream: Http2Stream): void {
  let body = "";
  stream.listener = {
    data: (chunk) => void (body += chunk.toString()),
    ended: () => {
      const { head } = stream;
      stream.respond(201, { "x-a": ["b", "c"] });
      stream.endWith(Buffer.from(`${head.method} ${head.path} ${head.get("authorization")} ${body}`));
    },
    closed() {},
  };
  stream.flow();
}

const quiet = { data() {}, ended() {}, closed() {} };

describe("a request", () => {
  it("brings its head, its token and its body, and the answer back", async () => {
    const { transport } = await serve(echo);
    const answer = await transport.request({ ...GET, method: "POST", body: Buffer.from("x".repeat(300_000)) });
    expect([answer.status, answer.headers["x-a"]]).toEqual([201, "b, c"]);
    expect(await text(answer)).toBe(`POST /a Bearer secret ${"x".repeat(300_000)}`);
  });

  it("waits for a reader of a long answer", async () => {
    const { transport } = await serve((stream) => {
      stream.listener = quiet;
      stream.respond(200, {});
      stream.endWith(Buffer.alloc(5_000_000, "y"));
    });
    const answers = await Promise.all([transport.request(GET), transport.request(GET)]);
    // The other one's window is full meanwhile.
    expect((await text(answers[0]!)).length).toBe(5_000_000);
    expect((await text(answers[1]!)).length).toBe(5_000_000);
  });

  it("rejects with the socket's error when nobody listens", async () => {
    const { transport, connections, url } = await serve(echo);
    await text(await transport.request(GET));
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await using other = createHttpTransport({ server: url.replace(/\d+$/, String(port)) });
    await expect(other.request(GET)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(connections.length).toBe(1);
  });

  it("ends with the reason of its signal, before and after its answer, and ends the stream", async () => {
    const codes: (number | undefined)[] = [];
    const { transport } = await serve((stream) => {
      stream.listener = { ...quiet, closed: (code) => void codes.push(code) };
      if (stream.head.path === "/a") stream.respond(200, {});
    });
    const reason = new Error("enough");
    const early = new AbortController();
    const unanswered = transport.request({ ...GET, path: "/silent", signal: early.signal });
    const late = new AbortController();
    const answer = await transport.request({ ...GET, signal: late.signal });
    early.abort(reason);
    await expect(unanswered).rejects.toBe(reason);
    const reading = text(answer);
    late.abort(reason);
    await expect(reading).rejects.toBe(reason);
    await expect(transport.request({ ...GET, signal: late.signal })).rejects.toBe(reason);
    await expect.poll(() => codes).toEqual([errorCode.cancel, errorCode.cancel]);
  });

  it("ends its stream when the reader leaves", async () => {
    const codes: (number | undefined)[] = [];
    const { transport } = await serve((stream) => {
      stream.listener = { ...quiet, closed: (code) => void codes.push(code) };
      stream.respond(200, {});
      stream.write(Buffer.from("one"));
    });
    const { body } = await transport.request(GET);
    for await (const chunk of body) if (chunk.length > 0) break;
    await expect.poll(() => codes).toEqual([errorCode.cancel]);
  });
});

describe("a connection", () => {
  it("that the server leaves is replaced; what is under way on it ends properly", async () => {
    const open: Http2Stream[] = [];
    const { transport, connections } = await serve((stream) => {
      if (stream.head.path !== "/watch") return echo(stream);
      stream.listener = quiet;
      stream.respond(200, {});
      open.push(stream);
    });
    const watch = await transport.request({ ...GET, path: "/watch" });
    connections[0]!.leave();
    await expect
      .poll(async () => {
        await text(await transport.request(GET));
        return connections.length;
      })
      .toBe(2);
    open[0]!.endWith(Buffer.from("last"));
    expect(await text(watch)).toBe("last");
  });

  it("that is lost ends its requests with an error, and is replaced", async () => {
    const { transport, connections } = await serve((stream) => {
      if (stream.head.path === "/a") return echo(stream);
      stream.listener = quiet;
      stream.respond(200, {});
    });
    const watch = await transport.request({ ...GET, path: "/watch" });
    const reading = text(watch);
    connections[0]!.destroy();
    await expect(reading).rejects.toMatchObject({ code: "ECONNRESET" });
    expect((await transport.request(GET)).status).toBe(201);
  });

  it("has no more streams than the server allows", async () => {
    const { transport, connections } = await serve((stream) => {
      stream.listener = quiet;
      stream.respond(200, {});
    }, 2);
    for (let i = 0; i < 5; i++) await transport.request(GET);
    expect(connections.map(({ streamCount }) => streamCount)).toEqual([2, 2, 1]);
  });

  it("on which a stream is refused says so: the request can be made again", async () => {
    const { transport } = await serve((stream) => {
      stream.listener = quiet;
      stream.reset(errorCode.refusedStream);
    });
    await expect(transport.request(GET)).rejects.toMatchObject({ code: "REFUSED_STREAM" });
  });
});
