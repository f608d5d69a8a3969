import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@coracle/base";
import { clusterPaths, type ClusterConfig } from "../cluster-config.ts";

/**
 * Removes what nodes made on the host: containers, mounts, cgroups, interfaces, routes, rules. Idempotent. Runs in a
 * process of its own, so that the supervisor need not carry the code that knows how. That process is started at once,
 * and begins when `after` has resolved: its start-up takes as long as its work.
 */
export async function removeNodeLeftovers(
  config: ClusterConfig,
  bundles: string,
  logger: Logger,
  after?: Promise<unknown>,
): Promise<void> {
  const file = clusterPaths(config).config;
  if (config.nodes.length === 0 || !existsSync(file)) {
    await after;
    return;
  }
  const child = spawn(process.execPath, [join(bundles, "leftovers.cjs"), "--cluster", file], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve(exitCode ?? 1));
  });
  child.stdin.on("error", () => {}); // it has ended, and says why
  await Promise.all([ended, after?.finally(() => child.stdin.end()) ?? child.stdin.end()]);
  if ((await ended) !== 0) logger.error("not everything could be removed from this machine", { why: text.trim() });
}
