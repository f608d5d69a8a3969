import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";

/**
 * Starts a supervisor in place of one that was killed; it ends what is left of its predecessor's processes first.
 * Called from a bundle, in the network namespace that the former one was in.
 */
export function replaceSupervisor(config: ClusterConfig): void {
  const paths = clusterPaths(config);
  const log = openSync(join(paths.logs, "supervisor.log"), "a", 0o640);
  const cli = fileURLToPath(new URL("cli.cjs", import.meta.url));
  spawn(process.execPath, [cli, "supervise", "--config", paths.config], {
    detached: true,
    stdio: ["ignore", "ignore", log],
  }).unref();
}
