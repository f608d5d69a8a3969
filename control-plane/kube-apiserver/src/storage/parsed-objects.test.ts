import { describe, expect, it } from "vitest";
import { ParsedObjects, type Parsed } from "./parsed-objects.ts";

function createParsed(weight: number): Parsed & { isReleased: boolean } {
  return {
    weight,
    heldBy: undefined,
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

  it("leave no trace when they come and go without end", () => {
    const held = new ParsedObjects(100);
    const kept = createParsed(40);
    held.add(kept);
    for (let i = 0; i < 10_000; i++) {
      const passing = createParsed(50);
      held.add(passing);
      held.delete(passing);
    }
    held.add(createParsed(50));
    expect(kept.isReleased).toBe(false);
    held.add(createParsed(50));
    expect(kept.isReleased).toBe(true);
  });
});
