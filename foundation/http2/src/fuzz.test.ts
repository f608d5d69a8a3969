import { createSeededRandom, type Random } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { frame, GET, number32, POST, RawClient, setting, SETTINGS_FRAME } from "./peer-fixture.ts";
import { PREFACE } from "./frame-type.ts";
import type { Http2Stream } from "./stream.ts";

const ROUNDS = 1_000;
const WINDOW = 64 * 1024;

const pick = (random: Random, count: number): number => Math.floor(random.next() * count);
const bytesOf = (random: Random, count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, () => pick(random, 256)));

/** A conversation that is right, frame by frame. */
function conversation(client: RawClient, random: Random): Buffer[] {
  const frames = [PREFACE, SETTINGS_FRAME, frame(8, 0, 0, number32(1 << 20))];
  for (let id = 1; id < 20; id += 2) {
    const hasBody = pick(random, 2) === 0;
    const block = client.block({
      ...(hasBody ? POST : GET),
      ":path": `/${pick(random, 5)}`,
      "x-a": "b".repeat(pick(random, 50)),
    });
    const cut = pick(random, block.length);
    if (pick(random, 3) === 0)
      frames.push(frame(1, hasBody ? 0 : 1, id, block.subarray(0, cut)), frame(9, 4, id, block.subarray(cut)));
    else frames.push(frame(1, hasBody ? 4 : 5, id, block));
    if (hasBody) frames.push(frame(0, 0, id, bytesOf(random, pick(random, 500))), frame(0, 1, id, bytesOf(random, 3)));
    if (pick(random, 4) === 0) frames.push(frame(3, 0, id, number32(8)));
    if (pick(random, 4) === 0) frames.push(frame(6, pick(random, 2), 0, bytesOf(random, 8)));
    if (pick(random, 4) === 0) frames.push(frame(8, 0, id, number32(pick(random, 100_000))));
    if (pick(random, 6) === 0) frames.push(frame(4, 0, 0, setting(1 + pick(random, 6), pick(random, 20_000))));
  }
  return frames;
}

/** Something is wrong with it now. */
function mutated(frames: Buffer[], random: Random): Buffer {
  const out = [...frames];
  for (let i = pick(random, 4); i > 0; i--) {
    const at = 1 + pick(random, out.length - 1);
    switch (pick(random, 5)) {
      case 0:
        out.splice(at, 1);
        break;
      case 1:
        out.splice(at, 0, out[1 + pick(random, out.length - 1)]!);
        break;
      case 2:
        out.splice(
          at,
          0,
          frame(pick(random, 12), pick(random, 256), pick(random, 22), bytesOf(random, pick(random, 40))),
        );
        break;
      default:
        out[at] = Buffer.from(out[at]!);
        out[at][pick(random, out[at].length)] = pick(random, 256);
    }
  }
  const bytes = Buffer.concat(out);
  return pick(random, 5) === 0 ? bytes.subarray(0, pick(random, bytes.length)) : bytes;
}

interface Heard {
  received: number;
  ends: number;
  readonly closes: Map<Http2Stream, number>;
}

/** Does with a stream what handlers do. */
function handler(random: Random, heard: Heard): (stream: Http2Stream) => void {
  return (stream) => {
    const say = (): void => {
      switch (pick(random, 5)) {
        case 0:
          stream.reset(pick(random, 14));
          break;
        case 1:
          stream.respond(200, { "content-type": "a", "x-b": ["c", "d"] });
          stream.write(Buffer.alloc(pick(random, 40_000)));
          stream.end({ "x-end": "e" });
          break;
        case 2:
          stream.respond(404, {}, true);
          break;
        default:
          stream.respond(200, {});
          stream.endWith(Buffer.alloc(pick(random, 200_000)));
      }
    };
    heard.closes.set(stream, 0);
    stream.listener = {
      data(chunk) {
        heard.received += chunk.length;
        if (pick(random, 3) === 0) stream.pause();
      },
      ended() {
        heard.ends += 1;
        say();
      },
      closed: () => void heard.closes.set(stream, heard.closes.get(stream)! + 1),
    };
    if (pick(random, 5) === 0) say();
    if (pick(random, 5) > 0) stream.flow();
  };
}

describe("a client that sends anything", () => {
  it("throws nothing, hangs nothing, and costs no more memory than was agreed", async () => {
    let complete = 0;
    let broken = 0;
    for (let seed = 0; seed < ROUNDS; seed++) {
      const random = createSeededRandom(seed);
      const heard: Heard = { received: 0, ends: 0, closes: new Map() };
      const client = new RawClient(handler(random, heard), {
        maxStreams: 8,
        streamWindowBytes: WINDOW,
        connectionWindowBytes: WINDOW,
      });
      client.socket.isStuck = pick(random, 10) === 0;
      const bytes = mutated(conversation(client, random), random);
      const size = 1 + pick(random, pick(random, 2) === 0 ? 20 : 2_000);
      for (let at = 0; at < bytes.length; at += size) client.socket.push(bytes.subarray(at, at + size));
      await client.seen();
      const written = client.socket.writes.reduce((sum, { length }) => sum + length, client.socket.writableLength);
      expect(client.socket.isStuck ? written : 0, `seed ${seed}`).toBeLessThan(1_500_000);
      expect(client.connection.streamCount, `seed ${seed}`).toBeLessThanOrEqual(8);
      if (client.socket.writableEnded) broken += 1;
      complete += heard.ends;
      client.socket.release();
      client.connection.destroy();
      await new Promise((resolve) => setImmediate(resolve));
      expect(
        [...heard.closes.values()].every((count) => count === 1),
        `seed ${seed}`,
      ).toBe(true);
      expect([client.connection.streamCount, client.clock.pending], `seed ${seed}`).toEqual([0, 0]);
    }
    // It is no test of anything when all ends at the first frame, or nothing ever goes wrong.
    expect(complete).toBeGreaterThan(ROUNDS);
    expect(broken).toBeGreaterThan(ROUNDS / 10);
  }, 120_000);
});
