import { isAlive, listClusters, readState, type ClusterState } from "@coracle/cluster";
import type { Command } from "commander";
import { CliError } from "../exit.ts";

/** Adds `coracle status`. Exit code 1 when the cluster does not run. */
export function addStatus(root: Command): void {
  root
    .command("status")
    .description("what runs, and where")
    .option("--name <name>", "name of the cluster", "coracle")
    .option("--json", "for programs", false)
    .action(({ name, json }: { readonly name: string; readonly json: boolean }) => {
      const state = readState(name);
      if (state === undefined) {
        const others = listClusters();
        throw new CliError(
          `no cluster named ${name} is running${others.length === 0 ? "" : ` (running: ${others.join(", ")})`}`,
        );
      }
      const living = { ...state, processes: state.processes.filter(isAlive) };
      console.log(json ? JSON.stringify(living, undefined, 2) : asTable(living));
    });
}

function asTable(state: ClusterState): string {
  const rows = [
    ["PID", "NODE", "COMPONENTS"],
    ...state.processes.map((p) => [String(p.pid), p.node ?? "-", p.components.join(", ")]),
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [
    `cluster     ${state.name} (${state.phase})`,
    `kubeconfig  ${state.kubeconfig}`,
    `data        ${state.dataDir}`,
    "",
    ...lines,
  ].join("\n");
}
