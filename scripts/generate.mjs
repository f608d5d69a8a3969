// Runs every generator, each writing into the checkout. With --into FOLDER: into a copy there, so that a test can compare.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const at = process.argv.indexOf("--into");
const target = at === -1 ? root : process.argv[at + 1];
const api = "foundation/api";

if (target !== root) {
  for (const part of ["generate", "tables", "src/types"]) {
    mkdirSync(join(target, api, part), { recursive: true });
    cpSync(join(root, api, part), join(target, api, part), { recursive: true });
  }
  cpSync(join(root, ".oxfmtrc.json"), join(target, ".oxfmtrc.json"));
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: target, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) {
    console.error(`generate: ${args.join(" ")} failed`);
    process.exit(1);
  }
}

// The table of omitted members first: it is made from the other tables.
for (const generator of ["go-zero", "types", "grpc-types"]) {
  run(process.execPath, [join(api, "generate", `${generator}.mjs`)]);
}
run(join(root, "node_modules/.bin/oxfmt"), [join(api, "src/types")]);
