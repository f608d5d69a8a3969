import { readFileSync } from "node:fs";
import { readEtcdFlags, runEtcd } from "@coracle/etcd";
import { runAloneComponent, withFlagsRead } from "./alone.ts";

/** Runs the store by itself, with etcd's flags. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = await withFlagsRead(component, () =>
    readEtcdFlags(args, process.env, (path) => readFileSync(path, "utf8")),
  );
  const verbosity = flags.logLevel === "debug" ? 4 : 0;
  return await runAloneComponent(component, verbosity, (context) => runEtcd({ flags, ...context }));
}
