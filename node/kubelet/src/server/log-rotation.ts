import { rename, rm, stat } from "node:fs/promises";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sleep, type Clock, type Logger } from "@coracle/base";
import type { KubeletConfiguration } from "../config.ts";
import type { CriClient } from "../cri/cri-client.ts";
import type { PodManager } from "../pod/pod-manager.ts";
import { quantityUnits } from "../resources/quantity.ts";

const CHECK_MS = 10_000;

/** Keeps container logs from growing without end: a log that is too long is put aside, and the oldest ones go. */
export async function runLogRotation(
  deps: {
    readonly cri: CriClient;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly pods: PodManager;
    readonly configuration: KubeletConfiguration;
  },
  signal: AbortSignal,
): Promise<void> {
  const { cri, clock, logger, pods, configuration } = deps;
  const maxBytes = quantityUnits(configuration.containerLogMaxSize);
  while (!signal.aborted) {
    await sleep(clock, CHECK_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    for (const state of pods.states()) {
      const runs = [...state.runs.values()].flat();
      for (const run of runs) {
        if (run.state !== "running" || run.logPath === "") continue;
        try {
          const { size } = await stat(run.logPath);
          if (size > maxBytes) await rotate(cri, run.id, run.logPath, configuration.containerLogMaxFiles, clock.now());
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOENT")
            logger.warn("a log was not rotated", { log: run.logPath, error });
        }
      }
    }
  }
}

/** Puts the log aside under a name with the time and lets the runtime open a new one. */
async function rotate(cri: CriClient, containerId: string, log: string, maxFiles: number, now: number): Promise<void> {
  const folder = dirname(log);
  const name = basename(log);
  const aside = (await readdir(folder)).filter((entry) => entry.startsWith(`${name}.`)).toSorted();
  const surplus = Math.max(0, aside.length - (maxFiles - 2));
  for (const entry of aside.slice(0, surplus)) await rm(join(folder, entry), { force: true });
  const stamp = new Date(now).toISOString().replaceAll(/[-:]/g, "").replace("T", "-").slice(0, 15);
  const rotated = `${log}.${stamp}`;
  await rename(log, rotated);
  try {
    await cri.call("ReopenContainerLog", { containerId });
  } catch (error) {
    await rename(rotated, log);
    throw error;
  }
}
