// Every check that needs no running cluster: format, lint, types, dead exports.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

/** The checks, cheapest first. */
export function checks() {
  return [
    { name: "format", program: "oxfmt", args: ["--check", "."] },
    { name: "lint", program: "oxlint", args: ["--type-aware", "--quiet"] },
    { name: "types", program: "tsc", args: [] },
    { name: "dead exports", program: "knip", args: [] },
  ];
}

/** Runs one check, prints how it went, and what it said if it failed; answers whether it passed. */
export function runCheck({ name, program, args }) {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(join(root, "node_modules/.bin", program), args, { cwd: root });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
    const done = (passed) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${passed ? "ok    " : "failed"}  ${name} (${seconds} s)${passed ? "" : `\n${said}`}`);
      resolve(passed);
    };
    child.on("error", (error) => {
      said += error.message;
      done(false);
    });
    child.on("close", (code) => done(code === 0));
  });
}

if (process.argv[1] === join(root, "scripts/check.mjs")) {
  let passed = true;
  for (const check of checks()) passed = (await runCheck(check)) && passed;
  process.exit(passed ? 0 : 1);
}
