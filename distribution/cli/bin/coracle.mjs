#!/usr/bin/env node
// Runs the bundled command; in a checkout that was never built, builds it first.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const bundles = [join(here, "../dist"), join(here, "../../../dist")];
let found = bundles.find((dir) => existsSync(join(dir, "cli.cjs")));
if (found === undefined) {
  const { setUp, root } = await import("../../../scripts/setup.mjs");
  if (!(await setUp({ needsHost: false }))) process.exit(1);
  found = join(root, "dist");
}
createRequire(import.meta.url)(join(found, "cli.cjs"));
