// Bundles TypeScript programs of this workspace and runs one: Node 20 cannot run them as they are.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root, setUp } from "./setup.mjs";

/** Sources find files beside themselves by their own URL, which bundling would change. */
const ownUrl = {
  name: "own-url",
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
      loader: "ts",
    }));
  },
};

/** Bundles the entry points (name → source) under a name of the cache, runs `main` with this process's arguments, and ends with it. */
export async function runBundled(name, entryPoints, args = process.argv.slice(2)) {
  if (!(await setUp({ needsHost: false }))) process.exit(1);
  const { build } = await import("esbuild");
  const outdir = join(root, "node_modules/.cache", name);
  await build({
    entryPoints: Object.fromEntries(Object.entries(entryPoints).map(([key, source]) => [key, join(root, source)])),
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["lmdb", "vitest"],
    banner: {
      js: 'import { createRequire as __makeRequire } from "node:module"; const require = __makeRequire(import.meta.url);',
    },
    plugins: [ownUrl],
    logLevel: "warning",
  });
  const child = spawn(process.execPath, [join(outdir, "main.mjs"), ...args], { stdio: "inherit" });
  // The program ends what it started, then itself.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("close", (code) => process.exit(code ?? 1));
}
