// Removes what tests that were interrupted could not: their clusters, processes, namespaces and folders. All of it is
// named after the process that made it (cor-test-PID-N); what belongs to a living one is left alone.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./setup.mjs";

const NAME = /^(cor-test-(\d+)-\d+)/;

/** A zombie makes nothing any more. */
function isAlive(pid) {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Names of test hosts whose maker is gone, among the entries of a folder. */
function abandoned(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((entry) => {
    const pid = NAME.exec(entry)?.[2];
    return pid !== undefined && !isAlive(pid);
  });
}

export function removeTestLeftovers() {
  const namespaces = abandoned("/run/netns");
  for (const name of abandoned("/run/coracle")) {
    const command = [process.execPath, join(root, "distribution/cli/bin/coracle.mjs"), "down", "--name", name];
    const inside = namespaces.includes(name) ? ["nsenter", `--net=/run/netns/${name}`, ...command] : command;
    spawnSync(inside[0], inside.slice(1), { stdio: "ignore" });
  }
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const mark = /CORACLE_TEST_HOST=(cor-test-(\d+)-\d+)/.exec(readFileSync(`/proc/${entry}/environ`, "latin1"));
      if (mark !== null && !isAlive(mark[2])) process.kill(Number(entry), "SIGKILL");
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
  for (const name of namespaces) spawnSync("ip", ["netns", "del", name], { stdio: "ignore" });
  for (const name of abandoned("/tmp")) rmSync(join("/tmp", name), { recursive: true, force: true });
}
