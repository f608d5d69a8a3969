import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

it("the generators leave no diff", () => {
  const copy = mkdtempSync(join(tmpdir(), "coracle-generate-"));
  try {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/generate.mjs"), "--into", copy], {
      encoding: "utf8",
    });
    expect(stderr.replace(/^.*npm warn.*$/gm, "")).not.toContain("failed");
    expect(status).toBe(0);
    const files = (folder: string): string[] =>
      (readdirSync(folder, { recursive: true }) as string[]).filter((name) => /\.(ts|json)$/.test(name)).sort();
    for (const part of ["foundation/api/src/types", "foundation/api/tables"]) {
      const names = files(join(root, part));
      expect(files(join(copy, part))).toEqual(names);
      for (const name of names) {
        const same = readFileSync(join(copy, part, name)).equals(readFileSync(join(root, part, name)));
        expect(same, `${part}/${name} is not what the generators write: run npm run generate`).toBe(true);
      }
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}, 60_000);
