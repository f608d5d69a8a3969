import { readFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger, sleep, systemClock } from "@coracle/base";
import {
  endProcesses,
  isAlive,
  readState,
  removeNodeLeftovers,
  removeClusterDir,
  type ClusterConfig,
} from "@coracle/cluster";
import type { Command } from "commander";
import { bundlesDir } from "./bundles.ts";

/** Adds `coracle down`. */
export function addDown(root: Command): void {
  root
    .command("down")
    .description("end a cluster and remove all it made on the host (its data stays, unless --ephemeral)")
    .option("--name <name>", "name of the cluster", "coracle")
    .action(async ({ name }: { readonly name: string }) => {
      console.log(await endCluster(name));
    });
}

async function endCluster(name: string): Promise<string> {
  const state = readState(name);
  if (state === undefined) return `coracle: no cluster named ${name} is running`;
  const supervisor = state.processes.find((process) => process.name === "supervisor");
  if (supervisor !== undefined && isAlive(supervisor)) {
    process.kill(supervisor.pid, "SIGTERM");
    while (isAlive(supervisor)) await sleep(systemClock, 10);
  }
  // A supervisor that was killed could not clean up: do what it would have done.
  if (readState(name) !== undefined) {
    const config = JSON.parse(readFileSync(join(state.dataDir, "cluster.json"), "utf8")) as ClusterConfig;
    await endProcesses(state, systemClock);
    await removeNodeLeftovers(config, bundlesDir(), silentLogger);
    removeClusterDir(config.runDir);
    if (config.ephemeral) removeClusterDir(config.dataDir);
  }
  return `coracle: cluster ${name} is down`;
}
