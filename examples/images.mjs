// Builds the images of the examples from this machine's busybox and Node: node examples/images.mjs FILE
// then: npx coracle image load FILE
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node examples/images.mjs FILE");
  process.exit(2);
}
const root = join(fileURLToPath(import.meta.url), "../..");
const cache = join(root, "node_modules/.cache/example-images");
mkdirSync(cache, { recursive: true });
const outfile = join(cache, "image.mjs");
await build({
  stdin: {
    contents: `
      export { exampleImages } from "./example-images.ts";
      export { imageArchive } from "./image.ts";`,
    resolveDir: join(root, "distribution/testing/src/image"),
  },
  bundle: true,
  platform: "node",
  format: "esm",
  outfile,
  logLevel: "warning",
});
const { exampleImages, imageArchive } = await import(pathToFileURL(outfile).href);
const images = exampleImages(root);
writeFileSync(file, imageArchive(images));
console.log(`${file}: ${Object.keys(images).join(", ")}`);
