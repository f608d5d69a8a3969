import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { imageArchive, makeImage, makeLayer, sha256 } from "./image.ts";
import { tarArchive } from "./tar-archive.ts";

describe("images made by a test", () => {
  let dir = "";
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "cor-image-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const list = (archive: Buffer): string[] => {
    const file = join(dir, "archive.tar");
    writeFileSync(file, archive);
    return execFileSync("tar", ["-tvf", file], { encoding: "utf8" }).trim().split("\n");
  };

  it("tar reads files, folders, links and paths of more than 100 characters", () => {
    const long = `${"folder/".repeat(18)}file`;
    const lines = list(
      tarArchive([
        { path: "bin", isFolder: true },
        { path: "bin/tool", content: Buffer.from("x".repeat(700)), mode: 0o755 },
        { path: "bin/name", linkTo: "tool" },
        { path: long, content: Buffer.alloc(0) },
      ]),
    );
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^drwxr-xr-x .* bin\/$/);
    expect(lines[1]).toMatch(/^-rwxr-xr-x 0\/0 +700 .* bin\/tool$/);
    expect(lines[2]).toMatch(/ bin\/name -> tool$/);
    expect(lines[3]?.endsWith(long)).toBe(true);
  });

  it("a manifest names its parts by the digest of their bytes, a configuration its layers by what is inside", () => {
    const layer = makeLayer([{ path: "a", content: Buffer.from("a") }]);
    const image = makeImage([layer], { cmd: ["sh"] });
    const manifest = JSON.parse(image.manifest.content.toString()) as { layers: unknown[]; config: unknown };
    expect(manifest.layers).toEqual([
      { mediaType: layer.mediaType, digest: sha256(layer.content), size: layer.content.length },
    ]);
    expect(sha256(gunzipSync(layer.content))).toBe(layer.diffId);
    expect(JSON.parse(image.config.content.toString())).toMatchObject({
      config: { Cmd: ["sh"] },
      rootfs: { diff_ids: [layer.diffId] },
    });
  });

  it("an archive is an OCI layout and a docker archive at once, each blob there once", () => {
    const layer = makeLayer([{ path: "a", content: Buffer.from("a") }]);
    const lines = list(
      imageArchive({ "one:1": makeImage([layer]), "localhost:5001/two": makeImage([layer], { cmd: ["x"] }) }),
    );
    const names = lines.map((line) => line.split(" ").at(-1));
    expect(names.filter((name) => name?.startsWith("blobs/"))).toHaveLength(5);
    expect(names).toEqual(expect.arrayContaining(["oci-layout", "index.json", "manifest.json"]));
  });
});
