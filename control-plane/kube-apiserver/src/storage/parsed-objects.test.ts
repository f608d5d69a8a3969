import { describe, expect, it } from "vitest";
import { ParsedObjects } from "./parsed-objects.ts";

function createParsed(weight: number): { readonly weight: number; isReleased: boolean; release(): void } {
  return {
    weight,
    isReleased: false,
    release() {
      this.isReleased = true;
    },
  };
}

describe("objects that are held parsed", () => {
  it("are let go of, oldest first, when there are too many", () => {
    const held = new ParsedObjects(100);
    const [first, second, third] = [createParsed(40), createParsed(40), createParsed(40)];
    for (const one of [first, second, third]) held.add(one);
    expect([first, second, third].map(({ isReleased }) => isReleased)).toEqual([true, false, false]);
  });

  it("count no longer once they are gone", () => {
    const held = new ParsedObjects(100);
    const [first, second, third] = [createParsed(40), createParsed(40), createParsed(40)];
    held.add(first);
    held.add(second);
    held.delete(first);
    held.delete(first);
    held.add(third);
    expect([first, second, third].map(({ isReleased }) => isReleased)).toEqual([false, false, false]);
  });

  it("the newest stays, however large", () => {
    const held = new ParsedObjects(100);
    const [small, large] = [createParsed(40), createParsed(400)];
    held.add(small);
    held.add(large);
    expect([small.isReleased, large.isReleased]).toEqual([true, false]);
  });
});
