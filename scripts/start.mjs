// npm start: sets up what is missing, then runs a one-node cluster in the foreground.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

if (!(await setUp())) process.exit(1);
const child = spawn(
  process.execPath,
  [join(root, "distribution/cli/bin/coracle.mjs"), "up", ...process.argv.slice(2)],
  { stdio: "inherit" },
);
// The terminal sends Ctrl-C to both; the cluster decides when it is down.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
