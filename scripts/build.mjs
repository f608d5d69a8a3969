// Bundles each process of a cluster into one file of dist/, with the tables and packages that cannot be bundled beside it.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  copyFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild } from "esbuild";

const root = join(fileURLToPath(import.meta.url), "../..");
const target = join(root, "dist");

/** Native code cannot be bundled. */
const EXTERNAL = ["lmdb"];

/** Answers whether it worked; what did not is printed. */
export async function build() {
  const entriesDir = join(root, "distribution/cluster/src/processes");
  const entryPoints = {
    cli: join(root, "distribution/cli/src/main.ts"),
    ...Object.fromEntries(
      readdirSync(entriesDir)
        .filter((file) => file.endsWith("-process.ts"))
        .map((file) => [file.replace("-process.ts", ""), join(entriesDir, file)]),
    ),
  };
  // Made aside and put in place whole: a cluster that runs from the old bundles goes on with them until then.
  const out = `${target}.${process.pid}`;
  mkdirSync(join(out, "tables"), { recursive: true });
  try {
    await esbuild({
      entryPoints,
      outdir: out,
      outExtension: { ".js": ".cjs" },
      bundle: true,
      platform: "node",
      format: "cjs",
      target: "node20",
      // Code that the engine has kept cannot import; see loadBundle.
      supported: { "dynamic-import": false },
      minifySyntax: true,
      minifyWhitespace: true,
      keepNames: false,
      sourcemap: "linked",
      sourcesContent: false,
      external: EXTERNAL,
      banner: { js: 'const __moduleUrl=require("node:url").pathToFileURL(__filename).href;' },
      define: { "import.meta.url": "__moduleUrl" },
      logLevel: "warning",
      legalComments: "none",
    });
  } catch {
    rmSync(out, { recursive: true, force: true });
    return false;
  }
  for (const file of readdirSync(out)) if (file.endsWith(".cjs")) makeAscii(join(out, file));
  const tables = join(root, "foundation/api/tables");
  for (const file of existsSync(tables) ? readdirSync(tables) : [])
    copyFileSync(join(tables, file), join(out, "tables", file));
  writeFileSync(join(out, ".built"), "");
  const old = `${target}.old.${process.pid}`;
  if (existsSync(target)) renameSync(target, old);
  renameSync(out, target);
  rmSync(old, { recursive: true, force: true });
  return true;
}

/** The engine holds text that is not ASCII in twice the memory. The few such letters are in expressions, where an escape says the same. */
function makeAscii(file) {
  const text = readFileSync(file, "utf8");
  const escaped = text.replace(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
  if (escaped !== text) writeFileSync(file, escaped);
}

if (process.argv[1] === join(root, "scripts/build.mjs")) process.exit((await build()) ? 0 : 1);
