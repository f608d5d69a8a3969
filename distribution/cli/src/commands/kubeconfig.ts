import { readFileSync } from "node:fs";
import { readState } from "@coracle/cluster";
import type { Command } from "commander";
import { CliError } from "../exit.ts";

/** Adds `coracle kubeconfig`: prints the admin's kubeconfig, or its path. */
export function addKubeconfig(root: Command): void {
  root
    .command("kubeconfig")
    .description("print the admin's kubeconfig")
    .option("--name <name>", "name of the cluster", "coracle")
    .option("--path", "print the file's path instead", false)
    .action(({ name, path }: { readonly name: string; readonly path: boolean }) => {
      const file = kubeconfigOf(name);
      process.stdout.write(path ? `${file}\n` : readFileSync(file, "utf8"));
    });
}

/** The kubeconfig file of a running cluster. */
export function kubeconfigOf(name: string): string {
  const state = readState(name);
  if (state === undefined) throw new CliError(`no cluster named ${name} is running; start one with: coracle up`);
  return state.kubeconfig;
}
