import { Command, CommanderError } from "commander";
import { COMPONENTS, runComponent } from "./commands/component.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addDown } from "./commands/down.ts";
import { addEnvtest } from "./commands/envtest.ts";
import { addImage } from "./commands/image.ts";
import { addKubeconfig } from "./commands/kubeconfig.ts";
import { runKubectl } from "./commands/kubectl.ts";
import { addMigrate, addSnapshot } from "./commands/snapshot.ts";
import { addStatus } from "./commands/status.ts";
import { addTrace } from "./commands/trace.ts";
import { addUp } from "./commands/up.ts";
import { CliError } from "./exit.ts";

const VERSION = "0.1.0";

function program(): Command {
  const root = new Command("coracle");
  root
    .description("Kubernetes, whole, in TypeScript")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      "after",
      `\nComponents alone, with upstream's flags:\n  ${COMPONENTS.join("\n  ")}\n\nkubectl for a running cluster:\n  coracle kubectl get pods -A`,
    );
  for (const add of [
    addUp,
    addDown,
    addStatus,
    addTrace,
    addDoctor,
    addKubeconfig,
    addImage,
    addEnvtest,
    addSnapshot,
    addMigrate,
  ])
    add(root);
  return root;
}

async function main(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === "kubectl") return await runKubectl(rest);
  if (first === "etcd" && rest[0] === "migrate") return await main(rest);
  if (first !== undefined && COMPONENTS.includes(first)) return await runComponent(first, rest);
  try {
    await program().parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      console.error(`coracle: ${error.message.replace(/^error: /, "").replaceAll("\n", " ")}; see coracle --help`);
      return 2;
    }
    if (error instanceof CliError) {
      console.error(`coracle: ${error.message}`);
      return error.exitCode;
    }
    throw error;
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`coracle: ${error instanceof Error ? error.message : String(error)}`);
    if (process.env["CORACLE_DEBUG"] === "1") console.error(error);
    process.exitCode = 1;
  },
);
