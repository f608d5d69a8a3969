import { existsSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import { CliError } from "../exit.ts";
import { findMissingTools } from "../host-tools.ts";

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  /** The command that mends it. */
  readonly mend?: string;
}

/** Adds `coracle doctor`: what the host lacks, and the one command that mends it. Exit code 1 when something is missing. */
export function addDoctor(root: Command): void {
  root
    .command("doctor")
    .description("say what this machine lacks for running nodes")
    .option("--json", "for programs", false)
    .action(({ json }: { readonly json: boolean }) => {
      const findings = examine();
      if (json) console.log(JSON.stringify(findings, undefined, 2));
      else
        for (const { check, ok, detail } of findings)
          console.log(`${ok ? "ok      " : "missing "} ${check}: ${detail}`);
      const bad = findings.filter((finding) => !finding.ok);
      if (bad.length === 0) return;
      const mends = [...new Set(bad.flatMap((finding) => (finding.mend === undefined ? [] : [finding.mend])))];
      throw new CliError(
        mends.length === 0
          ? "this machine cannot run nodes; `coracle up --nodes 0` works"
          : `to mend it: ${mends.join(" && ")}`,
      );
    });
}

function examine(): Finding[] {
  if (process.platform !== "linux") return [{ check: "system", ok: false, detail: "nodes need Linux" }];
  const findings: Finding[] = [];
  findings.push({
    check: "root",
    ok: process.getuid?.() === 0,
    detail: process.getuid?.() === 0 ? "yes" : "nodes need root: use sudo",
  });
  const missing = findMissingTools({ runtime: "auto", proxyMode: "iptables" });
  findings.push({
    check: "programs",
    ok: missing.length === 0,
    detail: missing.length === 0 ? "all there" : missing.map((tool) => `${tool.name} (${tool.purpose})`).join(", "),
    ...(missing.length === 0
      ? {}
      : {
          mend: `apt-get install -y --no-install-recommends ${[...new Set(missing.map((tool) => tool.package))].join(" ")}`,
        }),
  });
  const filesystems = readFileSync("/proc/filesystems", "utf8");
  const hasOverlay = /\boverlay\b/.test(filesystems);
  findings.push({
    check: "overlayfs",
    ok: hasOverlay,
    detail: hasOverlay ? "yes" : "not in the kernel",
    ...(hasOverlay ? {} : { mend: "modprobe overlay" }),
  });
  const version = existsSync("/sys/fs/cgroup/cgroup.controllers")
    ? "v2"
    : existsSync("/sys/fs/cgroup/memory")
      ? "v1"
      : undefined;
  findings.push({ check: "cgroups", ok: version !== undefined, detail: version ?? "not mounted at /sys/fs/cgroup" });
  for (const namespace of ["net", "mnt", "pid", "ipc", "uts"]) {
    if (!existsSync(`/proc/self/ns/${namespace}`))
      findings.push({ check: `${namespace} namespace`, ok: false, detail: "not in the kernel" });
  }
  return findings;
}
