import { parseEtcdFlags, runEtcd } from "@coracle/etcd";
import { runAloneComponent, withFlags } from "./alone.ts";

/** Runs the store by itself, with etcd's flags. */
export async function runAlone(component: string, args: readonly string[]): Promise<number> {
  const flags = withFlags(component, () => parseEtcdFlags(args, process.env));
  const verbosity = flags.logLevel === "debug" ? 4 : 0;
  return await runAloneComponent(component, verbosity, (context) => runEtcd({ flags, ...context }));
}
