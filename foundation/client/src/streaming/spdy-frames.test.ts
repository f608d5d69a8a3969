import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import {
  dataFrames,
  goAwayFrame,
  pingFrame,
  rstFrame,
  SpdyFrameParser,
  synReplyFrame,
  synStreamFrame,
  type SpdyFrame,
} from "./spdy-frames.ts";
import { SpdyHeaderReader, SpdyHeaderWriter } from "./spdy-headers.ts";

/** Frames with neighbouring pieces of one data frame joined, so that cuts do not show. */
function joined(frames: readonly SpdyFrame[]): unknown[] {
  const out: unknown[] = [];
  let data = "";
  for (const frame of frames) {
    if (frame.type === "data") {
      data += `${frame.streamId}:${frame.data.toString("hex")}${frame.fin ? "!" : ""};`;
      continue;
    }
    out.push({ ...frame, ...("headerBlock" in frame ? { headerBlock: frame.headerBlock.toString("hex") } : {}) });
  }
  out.push(data.replaceAll(/;1:(?=[0-9a-f]*!?;)/g, ""));
  return out;
}

describe("SPDY frames", () => {
  const block = new SpdyHeaderWriter().write(new Map([["streamtype", "stdin"]]));
  const wire = Buffer.concat([
    synStreamFrame(1, block),
    synReplyFrame(2, block),
    ...dataFrames(1, Buffer.from("hello"), true),
    pingFrame(7),
    rstFrame(1, 5),
    goAwayFrame(1),
  ]);

  it("are the same however the bytes are cut", () => {
    const whole = joined([...new SpdyFrameParser().push(wire)]);
    const random = createSeededRandom(1);
    for (let round = 0; round < 200; round++) {
      const parser = new SpdyFrameParser();
      const frames: SpdyFrame[] = [];
      for (let at = 0; at < wire.length;) {
        const next = at + 1 + Math.floor(random.next() * 12);
        frames.push(...parser.push(wire.subarray(at, next)));
        at = next;
      }
      expect(joined(frames)).toEqual(whole);
    }
  });

  it("of any bytes end in frames or a protocol error, never in a hang or unbounded memory", () => {
    const random = createSeededRandom(2);
    for (let round = 0; round < 3_000; round++) {
      const bytes = Buffer.from(wire);
      for (let i = 0; i < 1 + (round % 8); i++)
        bytes[Math.floor(random.next() * bytes.length)] = Math.floor(random.next() * 256);
      const parser = new SpdyFrameParser();
      const reader = new SpdyHeaderReader();
      try {
        for (const frame of parser.push(bytes)) if ("headerBlock" in frame) reader.read(frame.headerBlock);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }
  });

  it("longer than 64 KiB are refused when they are control frames, and cut when they are data", () => {
    const long = Buffer.from([0x80, 3, 0, 1, 0, 0x20, 0, 0]);
    expect(() => [...new SpdyFrameParser().push(long)]).toThrow("too long");
    const frames = [...new SpdyFrameParser().push(Buffer.concat(dataFrames(3, Buffer.alloc(200_000, 1), true)))];
    expect(frames.filter((frame) => frame.type === "data" && frame.fin)).toHaveLength(1);
    expect(frames.reduce((sum, frame) => sum + (frame.type === "data" ? frame.data.length : 0), 0)).toBe(200_000);
  });
});

describe("SPDY header blocks", () => {
  it("are read with the shared dictionary and history, as Go clients compress them", async () => {
    const { createDeflate, constants } = await import("node:zlib");
    const { spdyDictionary } = await import("./spdy-dictionary.ts");
    const deflate = createDeflate({ dictionary: spdyDictionary() });
    const reader = new SpdyHeaderReader();
    for (const name of ["error", "stdin", "stdout", "stdin"]) {
      const plain = Buffer.concat([u32(1), u32(10), Buffer.from("streamtype"), u32(name.length), Buffer.from(name)]);
      deflate.write(plain);
      const block = await new Promise<Buffer>((resolve) =>
        deflate.flush(constants.Z_SYNC_FLUSH, () => resolve(deflate.read() as Buffer)),
      );
      expect([...reader.read(block)]).toEqual([["streamtype", name]]);
    }
    deflate.close();
  });

  it("survive a round trip, block after block", () => {
    const writer = new SpdyHeaderWriter();
    const reader = new SpdyHeaderReader();
    for (let i = 0; i < 3; i++) {
      const headers = new Map([
        ["requestid", String(i)],
        ["port", "80"],
      ]);
      expect(reader.read(writer.write(headers))).toEqual(headers);
    }
  });

  it("that blow up when inflated are refused", async () => {
    const { deflateRawSync } = await import("node:zlib");
    const bomb = Buffer.concat([Buffer.from([0x78, 0x01]), deflateRawSync(Buffer.alloc(10_000_000))]);
    expect(() => new SpdyHeaderReader().read(bomb)).toThrow();
  });
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
