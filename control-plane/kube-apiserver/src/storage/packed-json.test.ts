import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { packJson, unpackJson } from "./packed-json.ts";

const thing = (name: string, rest: object): Buffer =>
  Buffer.from(
    JSON.stringify({ kind: "Thing", metadata: { name }, spec: { replicas: 3, text: "a text".repeat(20) }, ...rest }),
  );

describe("packed JSON", () => {
  it("of objects that are alike is much smaller, and comes back as it was", () => {
    for (let i = 0; i < 1_000; i++) {
      const json = thing(`thing-${i}`, { serial: i * i });
      const packed = packJson("alike", json)!;
      expect(packed.text.length).toBeLessThan(40);
      expect(unpackJson(packed).equals(json)).toBe(true);
    }
  });

  it("comes back as it was, whatever it is", () => {
    const random = createSeededRandom(11);
    const upTo = (limit: number): number => Math.floor(random.next() * limit);
    const base = Buffer.from(Array.from({ length: 70_000 }, () => upTo(256)));
    for (let i = 0; i < 3_000; i++) {
      const parts = Array.from({ length: upTo(6) }, () => {
        const at = upTo(i % 50 === 0 ? base.length : 900);
        return base.subarray(at, at + upTo(i % 50 === 0 ? 20_000 : 700));
      });
      const json = Buffer.concat(parts);
      const packed = packJson(`any-${i % 3}`, json);
      if (packed !== undefined) expect(unpackJson(packed).equals(json)).toBe(true);
    }
  });

  it("another template takes the place of one that others are not like", () => {
    const late = (i: number): Buffer => Buffer.from(JSON.stringify({ serial: i, other: "something else ".repeat(30) }));
    packJson("changing", thing("first", {}));
    for (let i = 0; i < 300; i++) packJson("changing", late(i));
    expect(packJson("changing", late(7))!.text.length).toBeLessThan(20);
  });

  it("what is like nothing is not packed", () => {
    const random = createSeededRandom(5);
    const noise = (): Buffer => Buffer.from(Array.from({ length: 500 }, () => Math.floor(random.next() * 256)));
    packJson("noise", noise());
    expect(packJson("noise", noise())).toBeUndefined();
  });
});
