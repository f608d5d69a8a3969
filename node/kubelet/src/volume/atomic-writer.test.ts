import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeVolume, type VolumePayload } from "./atomic-writer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "volume-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const files = (entries: Readonly<Record<string, string>>, mode = 0o644): VolumePayload =>
  new Map(Object.entries(entries).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));

describe("a volume of API data", () => {
  it("shows its files through one link that is replaced as a whole", async () => {
    expect(await writeVolume(folder, files({ a: "1", "d/b": "2" }), { stamp: "one" })).toBe(true);
    expect(await readFile(join(folder, "a"), "utf8")).toBe("1");
    expect(await readFile(join(folder, "d/b"), "utf8")).toBe("2");
    expect(await readlink(join(folder, "a"))).toBe("..data/a");
    expect(await writeVolume(folder, files({ a: "3", c: "4" }), { stamp: "two" })).toBe(true);
    expect(await readlink(join(folder, "..data"))).toBe("..two");
    expect((await readdir(folder)).toSorted()).toEqual(["..data", "..two", "a", "c"]);
    expect(await readFile(join(folder, "a"), "utf8")).toBe("3");
  });

  it("is not written when nothing changed", async () => {
    await writeVolume(folder, files({ a: "1" }), { stamp: "one" });
    expect(await writeVolume(folder, files({ a: "1" }), { stamp: "two" })).toBe(false);
    expect(await writeVolume(folder, files({ a: "1" }, 0o600), { stamp: "three" })).toBe(true);
    expect((await stat(join(folder, "a"))).mode & 0o777).toBe(0o600);
  });
});
