import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Random } from "@coracle/base";

/** What a scenario is run with. */
export interface Setting {
  readonly rounds: number;
  readonly random: Random;
  /** An empty folder of its own. */
  readonly dir: string;
  /** The program of our server, bundled. */
  readonly serverProgram: string;
}

/** What came of it. */
export interface Outcome {
  /** Answers that clients were given, or states that were looked at. */
  readonly checked: number;
  readonly faults: readonly string[];
}

export type Scenario = (setting: Setting) => Promise<Outcome>;

/** Starts our server; resolves when it serves. */
export async function startServer(program: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  child.stdout.resume();
  if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the server did not start: ${said}`);
  return child;
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
