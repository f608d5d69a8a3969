import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from "node:http2";
import { createServer, type AddressInfo } from "node:net";
import { createHttp2Server } from "@coracle/http2";
import { describe, expect, it } from "vitest";
import type { BodyWriter } from "./exchange.ts";
import { Http2Exchange } from "./http2-exchange.ts";

interface Served extends AsyncDisposable {
  readonly session: ClientHttp2Session;
  readonly peer: { openBodies: number };
}

async function serve(handle: (exchange: Http2Exchange) => void): Promise<Served> {
  const peer = { address: "", certificates: [], openBodies: 0 };
  const http2 = createHttp2Server({ onStream: (stream) => handle(new Http2Exchange(stream, peer)) });
  const server = createServer((socket) => void http2.accept(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on("error", () => {});
  return {
    session,
    peer,
    async [Symbol.asyncDispose]() {
      session.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const ask = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer): ClientHttp2Stream => {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return stream;
};

async function textOf(stream: ClientHttp2Stream): Promise<string> {
  let text = "";
  for await (const part of stream) text += String(part);
  return text;
}

const POST = { ":method": "POST", ":path": "/a?b=c" };

describe("an exchange over HTTP/2", () => {
  it("has the request's parts, and its body whole", async () => {
    await using served = await serve((exchange) => {
      void exchange.readBody(100).then((body) => {
        const { method, path, query } = exchange;
        const seen = [method, path, query, exchange.header("x-a"), exchange.headerValues("x-a"), String(body)];
        exchange.send(200, {}, Buffer.from(JSON.stringify(seen)));
      });
    });
    const reply = ask(served.session, { ...POST, "x-a": ["1", "2"] }, "body");
    expect(JSON.parse(await textOf(reply))).toEqual(["POST", "/a", "b=c", "1, 2", ["1", "2"], "body"]);
  });

  it("refuses a body that is too long, and one whose client is gone", async () => {
    const failures: string[] = [];
    await using served = await serve((exchange) => {
      exchange.readBody(10).catch((error: Error) => {
        failures.push(error.name === "AbortError" ? "gone" : error.message);
        exchange.send(413, {}, undefined);
      });
    });
    const long = ask(served.session, POST, Buffer.alloc(1_000_000));
    const [headers] = (await once(long, "response")) as [{ ":status": number }];
    expect(headers[":status"]).toBe(413);
    const half = served.session.request(POST);
    half.write("12345");
    half.on("error", () => {});
    await new Promise((resolve) => half.write("6", resolve));
    await new Promise<void>((answered) => void served.session.ping(() => answered()));
    served.session.destroy();
    while (failures.length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(failures[1]).toBe("gone");
  });

  it("gives a body piece by piece, no faster than it is taken", async () => {
    const size = 3_000_000;
    await using served = await serve((exchange) => {
      void (async () => {
        let bytes = 0;
        for await (const chunk of exchange.bodyStream()) {
          bytes += chunk.length;
          await new Promise((resolve) => setImmediate(resolve));
        }
        exchange.send(200, {}, Buffer.from(String(bytes)));
      })();
    });
    expect(await textOf(ask(served.session, POST, Buffer.alloc(size)))).toBe(String(size));
  });

  it("lets a client that asks first send its body", async () => {
    await using served = await serve((exchange) => {
      void exchange.readBody(100).then((body) => exchange.send(200, {}, body));
    });
    const request = served.session.request({ ...POST, expect: "100-continue" });
    await once(request, "continue");
    request.end("body");
    expect(await textOf(request)).toBe("body");
  });

  it("answers HEAD with a head alone, however the answer is written", async () => {
    await using served = await serve((exchange) => {
      const body = exchange.stream(200, { "content-length": 5 });
      body.write(Buffer.from("hello"));
      body.end();
    });
    const request = ask(served.session, { ":method": "HEAD", ":path": "/" });
    const [headers] = (await once(request, "response")) as [Record<string, string>];
    expect(headers["content-length"]).toBe("5");
    expect(await textOf(request)).toBe("");
    expect(served.peer.openBodies).toBe(0);
  });

  it("says when a body's memory is free, when there is room, and when the client is gone", async () => {
    const events: string[] = [];
    let body: BodyWriter | undefined;
    await using served = await serve((exchange) => {
      exchange.signal.addEventListener("abort", () => events.push("aborted"));
      body = exchange.stream(200, {});
      body.onClose(() => events.push("closed"));
      const mayGoOn = body.write(Buffer.alloc(200_000), () => events.push("sent"));
      events.push(String(mayGoOn));
      void body.drained().then(() => events.push("drained"));
    });
    const request = ask(served.session, { ":path": "/" });
    request.on("error", () => {});
    let bytes = 0;
    request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    while (bytes < 200_000) await new Promise((resolve) => setImmediate(resolve));
    expect([...events, served.peer.openBodies]).toEqual(["false", "sent", "drained", 1]);
    request.close(8);
    while (!events.includes("aborted")) await new Promise((resolve) => setImmediate(resolve));
    expect([events.slice(3), served.peer.openBodies, body?.isClosed]).toEqual([["closed", "aborted"], 0, true]);
  });
});
