import { describe, expect, it } from "vitest";
import { errorCode } from "./error-code.ts";
import { PREFACE } from "./frame-type.ts";
import { frame, GET, number32, POST, RawClient, setting, SETTINGS_FRAME } from "./peer-fixture.ts";
import type { Http2Stream } from "./stream.ts";

const { protocolError, frameSizeError, flowControlError, streamClosed, compressionError, enhanceYourCalm } = errorCode;
const hello = Buffer.from("hello");

/** Answers when the request has come whole. */
function answer(stream: Http2Stream): void {
  stream.listener = {
    data() {},
    ended() {
      stream.respond(200, { "content-type": "text/plain" });
      stream.endWith(hello);
    },
    closed() {},
  };
  stream.flow();
}

type Script = (client: RawClient) => Buffer[];
const OPEN: Script = (c) => [c.headers(1, POST, 0x4)];
const after =
  (...more: Buffer[]): Script =>
  (c) => [...OPEN(c), ...more];

describe("what ends the connection", () => {
  it.each<readonly [string, number, Script]>([
    ["DATA on stream 0 (6.1)", protocolError, () => [frame(0, 0, 0, "00")]],
    ["padding longer than the payload (6.1)", protocolError, after(frame(0, 0x8, 1, "0500"))],
    ["no length of the padding (6.1)", frameSizeError, after(frame(0, 0x8, 1))],
    ["DATA on an idle stream (5.1)", protocolError, () => [frame(0, 0, 1, "00")]],
    ["HEADERS on stream 0 (6.2)", protocolError, (c) => [c.headers(0, GET)]],
    ["HEADERS on an even stream (5.1.1)", protocolError, (c) => [c.headers(2, GET)]],
    ["a stream that was passed over (5.1.1)", protocolError, (c) => [c.headers(5, GET), c.headers(3, GET)]],
    [
      "HEADERS on a closed stream (5.1)",
      streamClosed,
      (c) => [c.headers(1, GET), frame(3, 0, 1, number32(8)), c.headers(1, GET)],
    ],
    ["PRIORITY on stream 0 (6.3)", protocolError, () => [frame(2, 0, 0, "8000000001")]],
    ["RST_STREAM on stream 0 (6.4)", protocolError, () => [frame(3, 0, 0, number32(8))]],
    ["RST_STREAM on an idle stream (5.1)", protocolError, () => [frame(3, 0, 1, number32(8))]],
    ["RST_STREAM of three bytes (6.4)", frameSizeError, after(frame(3, 0, 1, "000000"))],
    ["SETTINGS on a stream (6.5)", protocolError, () => [frame(4, 0, 1)]],
    ["SETTINGS of five bytes (6.5)", frameSizeError, () => [frame(4, 0, 0, "0000000000")]],
    ["SETTINGS acknowledged with a payload (6.5)", frameSizeError, () => [frame(4, 1, 0, "00")]],
    ["ENABLE_PUSH of 2 (6.5.2)", protocolError, () => [frame(4, 0, 0, setting(2, 2))]],
    ["INITIAL_WINDOW_SIZE of 2^31 (6.5.2)", flowControlError, () => [frame(4, 0, 0, setting(4, 2 ** 31))]],
    ["MAX_FRAME_SIZE below 16,384 (6.5.2)", protocolError, () => [frame(4, 0, 0, setting(5, 16_383))]],
    ["MAX_FRAME_SIZE above 2^24 - 1 (6.5.2)", protocolError, () => [frame(4, 0, 0, setting(5, 2 ** 24))]],
    ["PUSH_PROMISE from a client (6.6)", protocolError, () => [frame(5, 4, 1, "00000002")]],
    ["PING on a stream (6.7)", protocolError, () => [frame(6, 0, 1, "0000000000000000")]],
    ["PING of six bytes (6.7)", frameSizeError, () => [frame(6, 0, 0, "000000000000")]],
    ["GOAWAY on a stream (6.8)", protocolError, () => [frame(7, 0, 1, "0000000000000000")]],
    ["WINDOW_UPDATE of nothing (6.9)", protocolError, () => [frame(8, 0, 0, number32(0))]],
    ["WINDOW_UPDATE of three bytes (6.9)", frameSizeError, () => [frame(8, 0, 0, "000001")]],
    ["WINDOW_UPDATE of an idle stream (5.1)", protocolError, () => [frame(8, 0, 1, number32(1))]],
    ["a window above 2^31 - 1 (6.9.1)", flowControlError, () => [frame(8, 0, 0, number32(2 ** 31 - 1))]],
    ["CONTINUATION of nothing (6.10)", protocolError, () => [frame(9, 4, 1, "82")]],
    [
      "a frame inside a header block (6.2)",
      protocolError,
      (c) => [c.headers(1, GET, 0x1), frame(6, 0, 0, "0000000000000000")],
    ],
    ["CONTINUATION on another stream (6.10)", protocolError, (c) => [c.headers(1, GET, 0x1), frame(9, 4, 3, "")]],
    ["a header block that cannot be read (4.3)", compressionError, () => [frame(1, 0x5, 1, "ff")]],
    ["a frame that is too long (4.2)", frameSizeError, () => [frame(0, 0, 1, Buffer.alloc(16_385))]],
  ])("%s", async (_, code, script) => {
    const client = new RawClient();
    client.begin(...script(client));
    expect((await client.said()).at(-1)).toBe(`GOAWAY ${code}`);
    expect(client.socket.writableEnded).toBe(true);
  });

  it("something else than HTTP/2, or no settings first (3.4)", async () => {
    const other = new RawClient().send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    expect(await other.said()).toEqual([`GOAWAY ${protocolError}`]);
    const ping = new RawClient().send(PREFACE, frame(6, 0, 0, "0000000000000000"));
    expect(await ping.said()).toEqual([`GOAWAY ${protocolError}`]);
  });

  it("more body than the windows allow (6.9)", async () => {
    const client = new RawClient(undefined, { streamWindowBytes: 16_384, connectionWindowBytes: 65_536 });
    const full = frame(0, 0, 1, Buffer.alloc(16_384));
    client.begin(...OPEN(client), full, frame(0, 0, 1, "00"));
    expect(await client.said()).toContain(`RST 1 ${flowControlError}`);
    const other = new RawClient(undefined, { streamWindowBytes: 1 << 20, connectionWindowBytes: 65_536 });
    other.begin(...OPEN(other), full, full, full, full, full);
    expect(await other.said()).toContain(`GOAWAY ${flowControlError}`);
  });
});

describe("what ends the stream", () => {
  const request =
    (fields: Readonly<Record<string, string>>): Script =>
    (c) => [c.headers(1, fields)];
  const without = (name: keyof typeof GET): Record<string, string> =>
    Object.fromEntries(Object.entries(GET).filter(([other]) => other !== name));
  it.each<readonly [string, number, Script]>([
    ["a name in upper case (8.2.1)", protocolError, () => [frame(1, 5, 1, "828487 400141 0161")]],
    ["a line end in a value (8.2.1)", protocolError, () => [frame(1, 5, 1, "828487 400161 0162 400161 020d0a")]],
    [
      "connection: (8.2.2)",
      protocolError,
      () => [
        frame(
          1,
          5,
          1,
          Buffer.concat([Buffer.from("828487400a", "hex"), Buffer.from("connection"), Buffer.from("0161", "hex")]),
        ),
      ],
    ],
    ["te: other than trailers (8.2.2)", protocolError, request({ ...GET, te: "gzip" })],
    ["an unknown pseudo-field (8.3)", protocolError, request({ ...GET, ":odd": "a" })],
    ["a pseudo-field of answers (8.3)", protocolError, request({ ...GET, ":status": "200" })],
    ["a pseudo-field after others (8.3)", protocolError, request({ a: "b", ...GET })],
    ["no method (8.3.1)", protocolError, request(without(":method"))],
    ["no scheme (8.3.1)", protocolError, request(without(":scheme"))],
    ["no path (8.3.1)", protocolError, request(without(":path"))],
    ["an empty path (8.3.1)", protocolError, request({ ...GET, ":path": "" })],
    ["a path that begins with no slash (8.3.1)", protocolError, request({ ...GET, ":path": "a" })],
    ["a method that is said twice (8.3.1)", protocolError, () => [frame(1, 5, 1, "82828487")]],
    ["a length that does not agree: none (8.1.1)", protocolError, request({ ...POST, "content-length": "5" })],
    [
      "a length that does not agree: too much (8.1.1)",
      protocolError,
      (c) => [c.headers(1, { ...POST, "content-length": "1" }, 4), frame(0, 1, 1, "0000")],
    ],
    [
      "a length that does not agree: too little (8.1.1)",
      protocolError,
      (c) => [c.headers(1, { ...POST, "content-length": "9" }, 4), frame(0, 1, 1, "0000")],
    ],
    ["a length that is none", protocolError, request({ ...POST, "content-length": "-1" })],
    ["trailers without an end (8.1)", protocolError, (c) => [...OPEN(c), c.headers(1, { a: "b" }, 4)]],
    ["trailers with a pseudo-field (8.1)", protocolError, (c) => [...OPEN(c), c.headers(1, { ":path": "/" }, 5)]],
    [
      "a stream that depends on itself",
      protocolError,
      (c) => [frame(1, 0x25, 1, Buffer.concat([number32(1), Buffer.from([0]), c.block(GET)]))],
    ],
    ["PRIORITY of four bytes (6.3)", frameSizeError, (c) => [...OPEN(c), frame(2, 0, 1, "00000000")]],
    ["WINDOW_UPDATE of nothing (6.9)", protocolError, after(frame(8, 0, 1, number32(0)))],
    ["a window above 2^31 - 1 (6.9.1)", flowControlError, after(frame(8, 0, 1, number32(2 ** 31 - 1)))],
    ["DATA after the end (5.1)", streamClosed, (c) => [c.headers(1, GET), frame(0, 0, 1, "00")]],
  ])("%s", async (_, code, script) => {
    const client = new RawClient();
    client.begin(...script(client), client.headers(9, GET));
    expect(await client.said()).toEqual([`RST 1 ${code}`]);
    // The connection goes on.
    expect(client.streams.at(-1)?.id).toBe(9);
  });

  it("not: DATA and trailers that crossed our reset", async () => {
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.reset(errorCode.cancel);
    });
    client.begin(...OPEN(client), frame(0, 0, 1, "00"), client.headers(1, { a: "b" }));
    expect(await client.said()).toEqual([`RST 1 ${errorCode.cancel}`]);
  });
});

describe("requests and answers", () => {
  it("go both ways, padded, in pieces and with trailers", async () => {
    const heard: string[] = [];
    const client = new RawClient((stream) => {
      heard.push(`${stream.head.method} ${stream.head.path} ${stream.head.get("cookie")}`);
      stream.listener = {
        data: (chunk) => void heard.push(chunk.toString()),
        ended(trailers) {
          heard.push(`end ${trailers.map(({ name }) => name).join()}`);
          stream.respond(200, { "x-many": ["a", "b"], "x-number": 5 });
          stream.write(hello);
          stream.end({ "grpc-status": "0" });
        },
        closed: (code) => void heard.push(`closed ${code}`),
      };
      stream.flow();
    });
    const block = client.block({ ...POST, ":path": "/a?b", cookie: "x=1" });
    const cookie = client.block({ Cookie: "y=2" });
    const bytes = Buffer.concat([
      PREFACE,
      SETTINGS_FRAME,
      frame(1, 0, 1, block.subarray(0, 3)),
      frame(9, 0, 1, block.subarray(3)),
      frame(9, 4, 1, cookie),
      frame(0, 0x8, 1, Buffer.concat([Buffer.from([2]), Buffer.from("body"), Buffer.alloc(2)])),
      client.headers(1, { "x-sum": "1" }),
      frame(0xee, 0xff, 1, "00"),
    ]);
    for (const byte of bytes) client.socket.push(Buffer.from([byte]));
    const said = await client.said();
    expect(heard).toEqual(["POST /a?b x=1; y=2", "body", "end x-sum", "closed 0"]);
    expect(said).toEqual(["HEADERS 1", "DATA 1 5", "HEADERS 1 end"]);
    const [head, , trailers] = (await client.seen()).filter(({ streamId }) => streamId === 1);
    expect(client.fields(head!.payload)).toMatchObject({ ":status": "200", "x-number": "5", "x-many": "b" });
    expect(client.fields(trailers!.payload)).toEqual({ "grpc-status": "0" });
  });

  it("of all streams of one turn leave in one write", async () => {
    const client = new RawClient(answer);
    client.begin();
    await client.seen();
    const before = client.socket.writes.length;
    client.send(...Array.from({ length: 80 }, (_, i) => client.headers(2 * i + 1, GET)));
    expect((await client.said()).filter((line) => line.endsWith("5 end"))).toHaveLength(80);
    expect(client.socket.writes.length - before).toBe(1);
  });

  it("that are complete before the request end it with NO_ERROR (8.1)", async () => {
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.respond(413, {}, true);
    });
    client.begin(...OPEN(client));
    expect(await client.said()).toEqual(["HEADERS 1 end", "RST 1 0"]);
    expect(client.connection.streamCount).toBe(0);
  });

  it("whose head is larger than a frame continue (6.10)", async () => {
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.respond(200, { "x-large": "\u00fe".repeat(40_000) }, true);
    });
    client.begin(client.headers(1, GET));
    const frames = (await client.seen()).filter(({ streamId }) => streamId === 1);
    expect(frames.map(({ type, flags }) => [type, flags])).toEqual([
      [1, 1],
      [9, 0],
      [9, 4],
    ]);
    const block = Buffer.concat(frames.map(({ payload }) => payload));
    expect(client.fields(block)["x-large"]).toHaveLength(40_000);
  });

  it("with too large a head are answered with 431, and those beyond the number agreed refused", async () => {
    const client = new RawClient(undefined, { headerFields: 5, maxStreams: 2 });
    client.begin(
      client.headers(1, { ...GET, a: "1", b: "2", c: "3" }),
      client.headers(3, GET, 4),
      client.headers(5, GET, 4),
      client.headers(7, GET),
    );
    expect(await client.said()).toEqual(["HEADERS 1 end", `RST 7 ${errorCode.refusedStream}`]);
  });
});

describe("flow control (5.2)", () => {
  const big = Buffer.alloc(100_000, 1);
  const send = (stream: Http2Stream): void => {
    stream.listener = { data() {}, ended() {}, closed() {}, drained: () => stream.end() };
    stream.respond(200, {});
    expect(stream.write(big)).toBe(false);
  };
  const sizeOf = async (client: RawClient, id: number): Promise<number> =>
    (await client.seen()).reduce(
      (sum, { type, streamId, payload }) => sum + (type === 0 && streamId === id ? payload.length : 0),
      0,
    );

  it("keeps to the stream's window, to changes of all windows, and to the connection's", async () => {
    const client = new RawClient(send);
    client.send(PREFACE, frame(4, 0, 0, setting(4, 10_000)), client.headers(1, GET), client.headers(3, GET));
    expect([await sizeOf(client, 1), await sizeOf(client, 3)]).toEqual([10_000, 10_000]);
    client.send(frame(8, 0, 1, number32(5)));
    expect(await sizeOf(client, 1)).toBe(10_005);
    // Windows may become negative (6.9.2).
    client.send(frame(4, 0, 0, setting(4, 1)), frame(8, 0, 3, number32(9_999)));
    expect(await sizeOf(client, 3)).toBe(10_000);
    client.send(frame(4, 0, 0, setting(4, 1_000_000)));
    // The connection's 65,535 are shared, in turns.
    const [one, three] = [await sizeOf(client, 1), await sizeOf(client, 3)];
    expect(one + three).toBe(65_535);
    expect(Math.abs(one - three)).toBeLessThan(20_000);
    client.send(frame(8, 0, 0, number32(1_000_000)));
    expect([await sizeOf(client, 1), await sizeOf(client, 3)]).toEqual([100_000, 100_000]);
    expect((await client.said()).filter((line) => line.startsWith("DATA") && line.endsWith("end"))).toHaveLength(2);
  });

  it("gives the socket no more than it takes", async () => {
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.respond(200, {});
      stream.endWith(Buffer.alloc(5_000_000));
    });
    client.socket.isStuck = true;
    client.send(
      PREFACE,
      frame(4, 0, 0, setting(4, 2 ** 30)),
      frame(8, 0, 0, number32(2 ** 30)),
      client.headers(1, GET),
    );
    await client.seen();
    const written = client.socket.writes.reduce((sum, { length }) => sum + length, client.socket.writableLength);
    expect(written).toBeLessThan(700_000);
    client.socket.release();
    for (let i = 0; i < 50; i++) await client.seen();
    expect(await sizeOf(client, 1)).toBe(5_000_000);
  });

  it("sends what streams share in order, in few writes, with what is said meanwhile in its place", async () => {
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed() {} };
      stream.respond(200, {});
    });
    const ids = Array.from({ length: 40 }, (_, i) => 2 * i + 1);
    const window = [frame(4, 0, 0, setting(4, 2 ** 30)), frame(8, 0, 0, number32(2 ** 30))];
    client.send(PREFACE, ...window, ...ids.map((id) => client.headers(id, GET)));
    await client.seen();
    const before = client.socket.writes.length;
    client.socket.isStuck = true;
    for (const text of ["a", "b", "c"]) {
      const shared = Buffer.alloc(5_000, text);
      for (const stream of client.streams) stream.writeShared(shared);
    }
    client.streams[0]!.end();
    client.streams[1]!.reset(8);
    for (const stream of client.streams) stream.writeShared(Buffer.from("d"));
    await client.seen();
    client.socket.release();
    for (let i = 0; i < 10; i++) await client.seen();
    const frames = (await client.seen()).filter(({ type }) => type === 0 || type === 3);
    const saidOn = (id: number): string[] =>
      frames.flatMap(({ type, flags, streamId, payload }) => {
        if (streamId !== id) return [];
        return type === 3
          ? ["reset"]
          : [`${payload.toString("latin1", 0, 1)}${payload.length}${flags === 1 ? "end" : ""}`];
      });
    expect(saidOn(1)).toEqual(["a5000", "b5000", "c5000", "0end"]);
    expect(saidOn(3)).toEqual(["a5000", "b5000", "c5000", "reset"]);
    for (const id of ids.slice(2)) expect(saidOn(id)).toEqual(["a5000", "b5000", "c5000", "d1"]);
    expect(client.socket.writes.length - before).toBeLessThan(12);
  });

  it("asks for more when bodies are taken, not before", async () => {
    const client = new RawClient(undefined, { streamWindowBytes: 65_536 });
    client.begin(...OPEN(client), ...Array.from({ length: 4 }, () => frame(0, 0, 1, Buffer.alloc(16_000))));
    expect(await client.said()).toEqual([]);
    client.streams[0]!.flow();
    expect(await client.said()).toEqual(["WINDOW 1 48000"]);
  });
});

describe("floods", () => {
  const times = (count: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => bytes));
  it.each<readonly [string, Script]>([
    ["pings", () => [times(2_000, frame(6, 0, 0, "0000000000000000"))]],
    ["settings", () => [times(2_000, SETTINGS_FRAME)]],
    ["data without data", after(times(2_000, frame(0, 0, 1)))],
    ["priorities", () => [times(2_000, frame(2, 0, 1, "0000000000"))]],
    [
      "windows of closed streams",
      (c) => [c.headers(1, GET), frame(3, 0, 1, number32(8)), times(2_000, frame(8, 0, 1, number32(1)))],
    ],
    ["frames of unknown types", () => [times(2_000, frame(0xaa, 0, 0))]],
    ["continuations (CVE-2024-27316)", (c) => [c.headers(1, GET, 1), times(200, frame(9, 0, 1))]],
    ["long header blocks", (c) => [c.headers(1, GET, 1), times(80, frame(9, 0, 1, Buffer.alloc(16_384, 0x82)))]],
    [
      "streams that are broken off (CVE-2023-44487)",
      (c) =>
        Array.from({ length: 3_000 }, (_, i) => [
          c.headers(2 * i + 1, POST, 4),
          frame(3, 0, 2 * i + 1, number32(8)),
        ]).flat(),
    ],
    [
      "streams that go wrong (CVE-2025-8671)",
      (c) =>
        Array.from({ length: 3_000 }, (_, i) => [
          c.headers(2 * i + 1, POST, 4),
          frame(8, 0, 2 * i + 1, number32(0)),
        ]).flat(),
    ],
  ])("of %s end the connection", async (_, script) => {
    const client = new RawClient();
    client.begin(...script(client));
    expect((await client.said()).at(-1)).toBe(`GOAWAY ${enhanceYourCalm}`);
    expect(client.connection.streamCount).toBe(0);
  });

  it("a client that does not begin, or does not end a header block, is cut off in time", async () => {
    const silent = new RawClient();
    await silent.clock.advance(33_000);
    expect(await silent.said()).toEqual([`GOAWAY ${errorCode.settingsTimeout}`]);
    const slow = new RawClient();
    slow.begin(slow.headers(1, GET, 1));
    await slow.seen();
    await slow.clock.advance(33_000);
    expect(await slow.said()).toEqual([`GOAWAY ${protocolError}`]);
    await slow.clock.advance(1_000);
    expect(slow.socket.destroyed).toBe(true);
    expect([silent.clock.pending, slow.clock.pending]).toEqual([0, 0]);
  });
});

describe("leaving (6.8)", () => {
  it("is said twice: what is on its way still counts, what comes later does not", async () => {
    const client = new RawClient();
    client.begin(client.headers(1, GET));
    await client.seen();
    client.connection.leave();
    client.send(client.headers(3, GET));
    expect(await client.said()).toEqual(["GOAWAY 0", "PING"]);
    expect(client.streams.map(({ id }) => id)).toEqual([1, 3]);
    const [goaway, ping] = (await client.seen()).slice(-2);
    expect(goaway!.payload.readUInt32BE(0)).toBe(2 ** 31 - 1);
    client.send(frame(6, 1, 0, ping!.payload), client.headers(5, GET));
    expect((await client.seen()).at(-1)!.payload.readUInt32BE(0)).toBe(3);
    expect(client.streams.map(({ id }) => id)).toEqual([1, 3]);
    for (const stream of client.streams) stream.respond(204, {}, true);
    expect((await client.said()).slice(-2)).toEqual(["HEADERS 1 end", "HEADERS 3 end"]);
    expect(client.socket.writableEnded).toBe(true);
  });

  it("does not wait for an answer for ever", async () => {
    const client = new RawClient().begin();
    await client.seen();
    client.connection.leave();
    await client.clock.advance(1_000);
    expect(await client.said()).toEqual(["GOAWAY 0", "PING", "GOAWAY 0"]);
    await client.clock.advance(1_000);
    expect([client.socket.destroyed, client.clock.pending]).toEqual([true, 0]);
  });

  it("a connection that is lost closes its streams, each once", async () => {
    const closed: (number | undefined)[] = [];
    const client = new RawClient((stream) => {
      stream.listener = { data() {}, ended() {}, closed: (code) => void closed.push(code) };
    });
    client.begin(client.headers(1, GET), client.headers(3, POST, 4));
    await client.seen();
    client.socket.destroy(new Error("gone"));
    await client.seen();
    expect([closed, client.closeReason?.message]).toEqual([[undefined, undefined], "gone"]);
    client.streams[0]!.respond(200, {});
    client.streams[0]!.endWith(hello);
  });
});
