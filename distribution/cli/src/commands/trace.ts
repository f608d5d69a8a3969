import { join } from "node:path";
import type { Command } from "commander";
import { CliError } from "../exit.ts";
import { loadBundle } from "./bundle-loader.ts";
import { bundlesDir } from "./bundles.ts";
import { kubeconfigOf } from "./kubeconfig.ts";

interface TraceOptions {
  readonly name: string;
  readonly namespace: string;
  readonly kubeconfig?: string;
  readonly config?: string;
  readonly json: boolean;
}

/** Adds `coracle trace pod/NAME`: each node, and each plugin's word about it. */
export function addTrace(root: Command): void {
  root
    .command("trace")
    .argument("<pod>", "pod/NAME")
    .description("why a pod goes where it goes, or nowhere: each node, each plugin")
    .option("-n, --namespace <namespace>", "of the pod", "default")
    .option("--name <name>", "name of the cluster", "coracle")
    .option("--kubeconfig <file>", "of another cluster")
    .option("--config <file>", "the scheduler's configuration, if it has one")
    .option("--json", "for programs", false)
    .action(async (what: string, { name, namespace, kubeconfig, config, json }: TraceOptions) => {
      const pod = /^(?:pods?|po)\/(.+)$/.exec(what)?.[1] ?? what;
      if (pod.includes("/")) throw new CliError(`only pods can be traced, not ${what}`);
      const file = kubeconfig ?? process.env["KUBECONFIG"] ?? kubeconfigOf(name);
      const bundle = loadBundle(join(bundlesDir(), "controllers.cjs")) as {
        tracePod(request: object): Promise<string>;
      };
      let text: string;
      try {
        text = await bundle.tracePod({ kubeconfig: file, namespace, name: pod, config, json });
      } catch (error) {
        throw new CliError(error instanceof Error ? error.message : String(error));
      }
      process.stdout.write(text);
    });
}
