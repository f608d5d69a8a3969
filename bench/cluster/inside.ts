import { spawn } from "node:child_process";
import { once } from "node:events";
import { createTestHost } from "@coracle/testing";
import { exitWhenInterrupted } from "../interrupt.ts";

const MARK = "CORACLE_BENCH_INSIDE";

/**
 * Runs `action` where a cluster can live without a packet leaving the machine: this program starts itself again in a
 * network namespace made for it. Needs root.
 */
export async function insideNamespace(action: () => Promise<void>): Promise<void> {
  if (process.env[MARK] !== undefined) {
    exitWhenInterrupted();
    await action();
    return;
  }
  if (process.getuid?.() !== 0) throw new Error("a node needs root (containers, network); run it with sudo");
  await using host = await createTestHost();
  const env = { ...process.env, [MARK]: "1" };
  const args = [`--net=${host.netns}`, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("nsenter", args, { stdio: "inherit", env });
  // It ends its cluster first; then the namespace goes.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, "close")) as [number | null];
  process.exitCode = code ?? 1;
}
