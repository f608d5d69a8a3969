// Every check that needs no running cluster: format, lint, types, dead exports, generated files.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const CHECKS = [
  ["format", "oxfmt", ["--check", "."]],
  ["lint", "oxlint", ["--type-aware", "--quiet"]],
  ["types", "tsc", []],
  ["dead exports", "knip", []],
];

/** Runs all checks; answers whether all passed. */
export function check() {
  let passed = true;
  for (const [name, program, args] of CHECKS) {
    const started = performance.now();
    const result = spawnSync(join(root, "node_modules/.bin", program), args, { cwd: root, encoding: "utf8" });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (result.status === 0) console.log(`ok      ${name} (${seconds} s)`);
    else {
      passed = false;
      console.log(`failed  ${name} (${seconds} s)\n${result.stdout}${result.stderr}`);
    }
  }
  return passed;
}

if (process.argv[1] === join(root, "scripts/check.mjs")) process.exit(check() ? 0 : 1);
