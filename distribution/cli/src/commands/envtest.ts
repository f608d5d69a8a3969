import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unpackClientProgram } from "@coracle/cluster";
import type { Command } from "commander";
import { CliError } from "../exit.ts";
import { bundlesDir } from "./bundles.ts";

/** Program that a test environment starts → the bundle that holds it. */
const PROGRAMS = { "kube-apiserver": "api-server", etcd: "etcd" } as const;

/** Adds `coracle envtest`: prints the folder for KUBEBUILDER_ASSETS. */
export function addEnvtest(root: Command): void {
  root
    .command("envtest")
    .description("print a folder with kube-apiserver, etcd and kubectl, for KUBEBUILDER_ASSETS")
    .action(() => {
      process.stdout.write(`${prepareAssets()}\n`);
    });
}

/** Makes the folder where it is missing or of another version. */
function prepareAssets(): string {
  const bundles = bundlesDir();
  const assets = join(bundles, "envtest");
  try {
    mkdirSync(assets, { recursive: true });
    for (const [program, bundle] of Object.entries(PROGRAMS)) {
      put(join(assets, program), launcher(program, join(bundles, `${bundle}.cjs`)));
    }
    put(join(assets, "kubectl"), `#!/bin/sh\nexec ${quote(unpackClientProgram("kubectl"))} "$@"\n`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`cannot prepare ${assets}: ${why}`, 1, { cause });
  }
  return assets;
}

/** The program straight from its bundle: nothing of the command line around it is loaded. */
function launcher(program: string, bundle: string): string {
  const code =
    `require(${JSON.stringify(bundle)}).runAlone(${JSON.stringify(program)},process.argv.slice(1))` +
    ".then((code)=>process.exit(code),(error)=>{console.error(error.message);process.exit(1)})";
  return `#!/bin/sh\nexec ${quote(process.execPath)} --title=${program} -e ${quote(code)} -- "$@"\n`;
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Several callers may do this at once: each file appears whole. */
function put(path: string, text: string): void {
  try {
    if (readFileSync(path, "utf8") === text) return;
  } catch {
    // not there yet
  }
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, text);
  chmodSync(fresh, 0o755);
  renameSync(fresh, path);
}
