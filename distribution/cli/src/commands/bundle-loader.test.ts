import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFakeClock } from "@coracle/base";
import { loadBundle } from "./bundle-loader.ts";

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "coracle-bundle-"));
  path = join(dir, "bundle.cjs");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Loads it, and lets the time pass after which what the engine made of it is kept. */
async function start(source: string): Promise<unknown> {
  writeFileSync(path, source);
  const clock = createFakeClock();
  const loaded = loadBundle(path, clock);
  await clock.advance(60_000);
  return loaded;
}

describe("a bundle", () => {
  it("sees what modules see, at the first start and when the engine has kept it", async () => {
    const source = `const { sep } = require("node:path"); module.exports = [sep, __filename, __dirname, this === exports, "µ"];`;
    const expected = ["/", path, dir, true, "µ"];
    expect(await start(source)).toEqual(expected);
    const kept = readFileSync(`${path}.cache`);
    expect(await start(source)).toEqual(expected);
    expect(readFileSync(`${path}.cache`)).toEqual(kept);
  });

  it("that was changed is not taken for the one that was kept, be it of the same length", async () => {
    expect(await start("exports.answer = 1;")).toEqual({ answer: 1 });
    expect(await start("exports.answer = 2;")).toEqual({ answer: 2 });
  });

  it("starts from its source when what was kept is damaged", async () => {
    await start("exports.answer = 1;");
    const kept = readFileSync(`${path}.cache`);
    for (const damaged of [kept.subarray(0, 3), kept.subarray(0, 50), Buffer.from(kept).fill(7, 40), Buffer.alloc(0)]) {
      writeFileSync(`${path}.cache`, damaged);
      expect(await start("exports.answer = 1;")).toEqual({ answer: 1 });
      expect(readFileSync(`${path}.cache`).length).toBe(kept.length);
    }
  });
});
