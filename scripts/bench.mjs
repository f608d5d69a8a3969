// `npm run bench -- NAME`: bundles the benchmarks of bench/ and runs one against the built cluster.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root, setUp } from "./setup.mjs";

if (!(await setUp({ needsHost: false }))) process.exit(1);
const { build } = await import("esbuild");
const outdir = join(root, "node_modules/.cache/bench");

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
await build({
  entryPoints: { main: join(root, "bench/main.ts"), load: join(root, "bench/api/load-process.ts") },
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
const child = spawn(process.execPath, [join(outdir, "main.mjs"), ...process.argv.slice(2)], { stdio: "inherit" });
// The benchmark ends what it started, then itself.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("close", (code) => process.exit(code ?? 1));
